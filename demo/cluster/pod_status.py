"""The one word that `kubectl get pods` shows for a pod, and its counts."""

from demo.cluster.store import seconds_since
from demo.cluster.types import Object


def pod_ready(pod: Object) -> str:
    """Ready containers of all: `1/2`."""
    ready = sum(status["ready"] for status in pod["status"].get("containerStatuses", []))
    return f"{ready}/{len(pod['spec']['containers'])}"


def pod_status(pod: Object) -> str:
    """The phase, or what keeps a container from running."""
    for status in pod["status"].get("containerStatuses", []):
        state = status["state"]
        if "waiting" in state:
            return str(state["waiting"]["reason"])
        if "terminated" in state:
            return str(state["terminated"]["reason"])
    return str(pod["status"]["phase"])


def pod_restarts(pod: Object) -> tuple[int, float | None]:
    """How often its containers were restarted, and the seconds since the last time."""
    statuses = pod["status"].get("containerStatuses", [])
    count = sum(status["restartCount"] for status in statuses)
    ends = [status["lastState"]["terminated"]["finishedAt"] for status in statuses if status.get("lastState")]
    return count, min((seconds_since(end) for end in ends), default=None) if count else None
