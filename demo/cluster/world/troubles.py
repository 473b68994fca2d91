"""Pods that don't run: crash loops, an image that doesn't exist, no room on any node, work that is done."""

from demo.cluster.store import timestamp
from demo.cluster.types import Object
from demo.cluster.world.build import By, When, World, condition, hexadecimal
from demo.cluster.world.pods import kubelet_of, scheduled

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 10.0, 300.0


def crash_looping(world: World, made: Object, *, age: float, lives: float, exit_code: int) -> Object:
    """A container that ends `lives` seconds after each start; the kubelet's back-off doubles up to 5 min."""
    ended, restarts, pause = age - 4 - lives, 0, _FIRST_PAUSE_SECONDS
    while ended - pause - lives > 0:
        ended, restarts = ended - pause - lives, restarts + 1
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    name, namespace, uid = (made["metadata"][key] for key in ("name", "namespace", "uid"))
    status = made["status"]["containerStatuses"][0]
    who = f"container={status['name']} pod={name}_{namespace}({uid})"
    message = f"back-off {_go_duration(pause)} restarting failed {who}"
    status |= {
        "ready": False,
        "started": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": message}},
        "lastState": {
            "terminated": {
                "exitCode": exit_code,
                "reason": "Error",
                "startedAt": timestamp(ended + lives),
                "finishedAt": timestamp(ended),
                "containerID": f"containerd://{hexadecimal(name)}",
            }
        },
    }
    _crash_events(world, made, age=age, started=ended + lives, ended=ended)
    return _not_ready(made, age - 4 - lives, "ContainersNotReady")


def _crash_events(world: World, made: Object, *, age: float, started: float, ended: float) -> None:
    status, by = made["status"]["containerStatuses"][0], kubelet_of(made)
    name, namespace, uid = (made["metadata"][key] for key in ("name", "namespace", "uid"))
    image, container, restarts = status["image"], status["name"], status["restartCount"]
    scheduled(world, made, age)
    world.event(made, by, "Pulling", f'Pulling image "{image}"', When(age - 1))
    took = "in 1.834s (1.834s including waiting). Image size: 48120332 bytes."
    pulled = f'Successfully pulled image "{image}" {took}'
    world.event(made, by, "Pulled", pulled, When(age - 3))
    present = f'Container image "{image}" already present on machine'
    world.event(made, by, "Pulled", present, When(age - 16, started, restarts))
    each = When(age - 3, started, restarts + 1)
    world.event(made, by, "Created", f"Created container: {container}", each)
    world.event(made, by, "Started", f"Started container {container}", each)
    backoff = f"Back-off restarting failed container {container} in pod {name}_{namespace}({uid})"
    world.event(made, by, "BackOff", backoff, When(age - 8, min(ended, 11), int(age / 13)), warning=True)


def _go_duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def image_missing(world: World, made: Object, *, age: float) -> Object:
    """A container whose image isn't in the registry."""
    status = made["status"]["containerStatuses"][0]
    image = status["image"]
    resolve = f'failed to resolve reference "{image}": {image}: not found'
    fault = f'failed to pull and unpack image "{image}": {resolve}'
    backing_off = f'Back-off pulling image "{image}"'
    status |= {
        "ready": False,
        "started": False,
        "imageID": "",
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": f"{backing_off}: ErrImagePull: {fault}"}},
    }
    del status["containerID"]
    made["status"]["phase"] = "Pending"
    scheduled(world, made, age)
    by, tries = kubelet_of(made), When(age - 1, age % 300, max(int(age / 300), 4))
    world.event(made, by, "Pulling", f'Pulling image "{image}"', tries)
    world.event(made, by, "Failed", f'Failed to pull image "{image}": {fault}', tries, warning=True)
    world.event(made, by, "Failed", "Error: ErrImagePull", tries, warning=True)
    pauses = When(age - 4, 14.0, int(age / 14))
    world.event(made, by, "BackOff", backing_off, pauses)
    world.event(made, by, "Failed", "Error: ImagePullBackOff", pauses, warning=True)
    return _not_ready(made, age, "ContainersNotReady")


def unschedulable(world: World, made: Object, *, age: float, why: str) -> Object:
    """A pod that fits on no node."""
    made["status"]["conditions"] = [condition("PodScheduled", "False", age, "Unschedulable", why)]
    del made["status"]["startTime"]
    when = When(age, age % 300, int(age / 300) + 1)
    world.event(made, By("default-scheduler"), "FailedScheduling", why, when, warning=True)
    return made


def completed(made: Object, *, started: float, took: float) -> Object:
    """A pod of a job that has done its work."""
    made["status"]["phase"] = "Succeeded"
    made["status"]["containerStatuses"][0] |= {
        "ready": False,
        "started": False,
        "state": {
            "terminated": {
                "exitCode": 0,
                "reason": "Completed",
                "startedAt": timestamp(started),
                "finishedAt": timestamp(started - took),
            }
        },
    }
    return _not_ready(made, started - took, "PodCompleted")


def _not_ready(made: Object, since: float, reason: str) -> Object:
    names = [container["name"] for container in made["spec"]["containers"]]
    message = f"containers with unready status: {names}" if reason == "ContainersNotReady" else ""
    conditions = made["status"]["conditions"]
    for index, kind in enumerate(found["type"] for found in conditions):
        if kind in {"Ready", "ContainersReady"}:
            conditions[index] = condition(kind, "False", since, reason, message)
    return made
