"""The image as a pod: the manifest's limits, user, mounts and probes, a service account's files, signals, a kill.

podman stands in for the kubelet; the API server is real.
"""

import shlex
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import pytest
import trio

from agent.kubectl.client import CROWDED
from demo.api import ReferenceApi, reference_api
from tests.cluster import workload
from tests.cluster.controlplane import Cluster, free_ports
from tests.cluster.node import ContainerLog
from tests.image.podman import Pod, podman, require_image
from tests.kustomize.builds import build, overlay, the

pytestmark = pytest.mark.image

T = TypeVar("T")

PATIENCE = 60
"""A bound in seconds for what takes a few at 0.2 of a core."""

FLOOD_BYTES = 200_000_000

OPENSHIFTS_CHOICE = {"runAsUser": 1000650000, "runAsGroup": 0, "fsGroup": 1000650000}
"""What its constraint `restricted-v2` adds to a pod that names no user: one of the namespace's own range."""

LARGE_OBJECTS = 40
"""Of 100 KB each: kubectl takes 198 MB for them as JSON, and the manifest's limit is 256 MiB."""


@pytest.fixture
async def api() -> AsyncIterator[ReferenceApi]:
    async with reference_api() as api:
        yield api


@pytest.fixture
def components(request: pytest.FixtureRequest) -> list[str]:
    """Those of the pod's overlay; a test names others."""
    return list(getattr(request, "param", []))


@pytest.fixture
def pod(api: ReferenceApi, cluster: Cluster, account: Path, components: list[str], tmp_path: Path) -> Iterator[Pod]:
    """Not started yet. Its volumes hold what kubelet and Secret would bring."""
    require_image()
    server = urlsplit(cluster.server)
    (port,) = free_ports(1)
    environ = {
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "KUBENTLY_API_URL": api.url,
        "CLUSTER_ID": api.cluster_id,
        "LOG_LEVEL": "INFO",
        # As in the manifest but for the port, which many pods of one machine can't share on its own network.
        "KUBENTLY_HEALTH_ADDRESS": f"127.0.0.1:{port}",
    }
    (folder := tmp_path / "overlay").mkdir()
    manifests = build(overlay(folder, components=components, namespace=workload.AGENT_NAMESPACE))
    spec = the(manifests, "Deployment")["spec"]["template"]["spec"]
    pod = Pod(spec | {"securityContext": OPENSHIFTS_CHOICE | spec["securityContext"]}, tmp_path, environ)
    put(pod, "token", "token", api.token)
    token = cluster.kubectl("create", "token", "kubently-agent", "-n", workload.AGENT_NAMESPACE).stdout.strip()
    put(pod, "service-account", "token", token)
    put(pod, "service-account", "ca.crt", cluster.ca.read_text())
    yield pod
    pod.remove()


def put(pod: Pod, volume: str, name: str, text: str) -> None:
    """A file of a Secret or a service account, readable for the pod's group."""
    path = pod.volume(volume) / name
    path.write_text(text)
    path.chmod(0o440)


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """podman takes its time, and the API serves in this very thread."""
    return await trio.to_thread.run_sync(function, *args)


async def started(pod: Pod, api: ReferenceApi) -> None:
    """Until the readiness probe of the manifest is content."""
    await in_thread(pod.start)
    async with httpx.AsyncClient() as client:
        await until(lambda: ready(client, pod))


async def ready(client: httpx.AsyncClient, pod: Pod) -> bool:
    (container,) = pod.manifest["containers"]
    path = container["readinessProbe"]["httpGet"]["path"]
    try:
        return (await client.get(url(pod, path))).status_code == 200
    except httpx.TransportError:
        return False


async def until(so: Callable[[], Awaitable[bool]]) -> None:
    """Asks the container until it is so: there is nothing in it to wait on from outside."""
    with trio.fail_after(PATIENCE):
        while not await so():
            await trio.sleep(0.1)


def url(pod: Pod, path: str) -> str:
    return f"http://{pod.environ['KUBENTLY_HEALTH_ADDRESS']}{path}"


@pytest.fixture
def slow_log(cluster: Cluster) -> Iterator[threading.Event]:
    """The log of `slow`, which comes once the event is set."""
    released = threading.Event()
    cluster.kubelet.logs[workload.NAMESPACE, "slow", "web"] = ContainerLog(["at last"], slow=released)
    yield released
    released.set()


@pytest.fixture(scope="module")
def loud_and_slow(cluster: Cluster) -> None:
    """Two more pods of the shop: one whose log takes its time, and one whose log is long."""
    for name in ("slow", "loud"):
        spec = {"nodeName": workload.NODE, "containers": [{"name": "web", "image": "example.com/web:1"}]}
        cluster.apply(workload.manifest("v1", "Pod", name, workload.NAMESPACE, spec=spec))
        workload.run(cluster, cluster.get("pod", name, "-n", workload.NAMESPACE))
    cluster.kubelet.logs[workload.NAMESPACE, "loud", "web"] = ContainerLog(flood_bytes=FLOOD_BYTES)


async def test_it_works_as_the_manifests_run_it(api: ReferenceApi, pod: Pod) -> None:
    await started(pod, api)
    lines = ("get pods -A", "top node", "logs deploy/web -n shop", "get secrets -A", "delete pods --all -n shop")
    asked = [await api.ask(line.split(), timeout=30) for line in lines]
    with trio.fail_after(PATIENCE):
        pods, top, logs, secrets, delete = [await api.result(command_id) for command_id in asked]
    assert "web-" in pods.output
    assert "250m" in top.output
    assert workload.LOG[0] in logs.output
    assert not secrets.success
    assert not delete.success
    async with httpx.AsyncClient() as client:
        assert (await client.get(url(pod, "/livez"))).status_code == 200
        assert "kubently_" in (await client.get(url(pod, "/metrics"))).text
    assert api.problems == []


@pytest.mark.parametrize("components", [["openshift"]], indirect=True)
async def test_it_works_as_a_user_that_the_image_doesnt_know(api: ReferenceApi, pod: Pod) -> None:
    await started(pod, api)
    assert (await in_thread(pod.execute, "id", "-u")).stdout == f"{OPENSHIFTS_CHOICE['runAsUser']}\n"
    command_id = await api.ask(["get", "pods", "-A"], timeout=30)
    with trio.fail_after(PATIENCE):
        assert "web-" in (await api.result(command_id)).output
    checked = await in_thread(pod.execute, "kubently-agent", "check")
    assert checked.returncode == 0, checked.stdout
    shown = await in_thread(pod.execute, "kubently-agent", "status")
    assert shown.returncode == 0, shown.stderr


async def test_sqlite3_looks_into_the_spool(api: ReferenceApi, pod: Pod) -> None:
    await started(pod, api)
    command_id = await api.ask(["get", "pods", "-A"], timeout=30)
    with trio.fail_after(PATIENCE):
        await api.result(command_id)
    look = ("sqlite3", "-readonly", "-line", "/var/lib/kubently/spool.db", "select * from status")
    shown = await in_thread(pod.execute, *look)
    assert shown.returncode == 0, shown.stderr
    assert "rejected = 0\n" in shown.stdout


async def test_a_rotated_token_needs_no_restart(api: ReferenceApi, pod: Pod) -> None:
    await started(pod, api)
    api.token = "another-token"
    fresh = pod.volume("token") / "fresh"
    fresh.write_text(api.token)
    fresh.chmod(0o440)
    fresh.rename(pod.volume("token") / "token")
    command_id = await api.ask(["get", "pods", "-A"], timeout=30)
    with trio.fail_after(PATIENCE):
        assert (await api.result(command_id)).success


async def test_sigterm_drains_within_the_grace_period(
    api: ReferenceApi, pod: Pod, slow_log: threading.Event, loud_and_slow: None
) -> None:
    await started(pod, api)
    command_id = await api.ask(["logs", "slow", "-n", "shop"], timeout=30)
    with trio.fail_after(PATIENCE):
        await until(partial(is_running, pod, command_id))
        async with trio.open_nursery() as nursery:
            codes: list[int] = []
            nursery.start_soon(stopped, pod, codes)
            await until(partial(has_logged, pod, "signal, draining"))
            slow_log.set()
        assert codes == [0]
        assert (await api.result(command_id)).output == "at last\n"


async def stopped(pod: Pod, codes: list[int]) -> None:
    codes.append(await in_thread(pod.stop))


async def is_running(pod: Pod, command_id: str) -> bool:
    query = f"select state from commands where command_id = '{command_id}'"
    done = await in_thread(pod.execute, "sqlite3", "-readonly", "/var/lib/kubently/spool.db", query)
    return done.stdout == "running\n"


async def has_logged(pod: Pod, words: str) -> bool:
    return words in await in_thread(pod.log)


async def test_a_restart_by_hand_drains_as_a_stop_does(api: ReferenceApi, pod: Pod) -> None:
    text = (Path(__file__).parents[2] / "docs/deploying.md").read_text()
    (command,) = [line for line in text.splitlines() if line.endswith("'kill 1'")]
    await started(pod, api)
    done = await in_thread(pod.execute, *shlex.split(command.partition(" -- ")[2]))
    assert done.returncode == 0, done.stderr
    assert await in_thread(pod.ended, pod.grace_seconds) == 0
    assert await has_logged(pod, "drained, everything is delivered")


async def test_killed_and_started_again_over_the_same_spool(
    api: ReferenceApi, pod: Pod, slow_log: threading.Event, loud_and_slow: None
) -> None:
    await started(pod, api)
    running = await api.ask(["logs", "slow", "-n", "shop"], timeout=30)
    with trio.fail_after(PATIENCE):
        await until(partial(is_running, pod, running))
        await api.stop()
        await in_thread(pod.kill)
        await in_thread(pod.remove)
        slow_log.set()
        await api.start()
        await started(pod, api)
        assert (await api.result(running)).output == "at last\n"
    assert api.record.contradicted == []
    assert len(api.record[running].handed_out) == 1


async def test_sigterm_during_the_start_is_obeyed(api: ReferenceApi, pod: Pod) -> None:
    await in_thread(pod.start)
    assert await in_thread(pod.stop) in {0, 143}  # after the handlers were set, or before


async def test_four_kubectls_and_a_flood_stay_within_the_memory_limit(
    api: ReferenceApi, pod: Pod, loud_and_slow: None
) -> None:
    await started(pod, api)
    asked = [await api.ask(["logs", "loud", "-n", "shop"], timeout=60) for _ in range(2)]
    asked += [await api.ask(["get", "pods,deploy,nodes", "-A", "-o", "yaml"], timeout=60) for _ in range(6)]
    with trio.fail_after(3 * PATIENCE):
        answers = [await api.result(command_id) for command_id in asked]
    for answer in answers:
        assert answer.success, answer.error
    for answer in answers[:2]:
        assert answer.result["truncated"] is True
        assert answer.result["output_bytes"] == FLOOD_BYTES
    described = await in_thread(podman, "inspect", "--format={{.State.OOMKilled}} {{.State.Running}}", pod.container)
    assert described.stdout.split() == ["false", "true"]
    print(f"peak memory: {await in_thread(pod.peak_memory_bytes) / 1e6:.0f} MB")


async def test_answers_that_are_too_large_together_end_the_largest_and_not_the_container(
    api: ReferenceApi, pod: Pod, cluster: Cluster
) -> None:
    for number in range(LARGE_OBJECTS):
        name = {"name": f"large-{number}", "namespace": "shop", "labels": {"size": "large"}}
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"text": "x" * 100_000}})
    await started(pod, api)
    line = ["get", "configmaps", "-n", "shop", "-l", "size=large", "-o", "json"]
    with trio.fail_after(3 * PATIENCE):
        asked = [await api.ask(line, timeout=60) for _ in range(4)]
        answers = [await api.result(command_id) for command_id in asked]
        alone = await api.result(await api.ask(line, timeout=60))
    print([answer.error or "succeeded" for answer in (*answers, alone)])
    assert alone.success, alone.error
    assert CROWDED in {answer.error for answer in answers}
    described = await in_thread(podman, "inspect", "--format={{.State.OOMKilled}} {{.State.Running}}", pod.container)
    assert described.stdout.split() == ["false", "true"]
    assert all(len(api.record[command_id].handed_out) == 1 for command_id in asked)
