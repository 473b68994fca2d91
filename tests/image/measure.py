"""The image in figures: `.venv/bin/python -m tests.image.measure [RUNS]`, as root, with podman and the image.

How large it is, and how long a container takes from its start to the agent's first poll at the manifest's CPU limit,
beside a container that does nothing. What memory it takes under load is printed by tests/cluster/test_pod.py.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import trio

from agent.sandbox.api import ReferenceApi, reference_api
from tests.image.podman import IMAGE, MACHINE, ROOT, Pod, base, inspect, podman
from tests.kustomize.builds import build, the

ENVIRONMENT = {"CLUSTER_ID": "sample", "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0"}


async def first_poll_seconds(api: ReferenceApi, folder: Path) -> tuple[float, int]:
    """From `podman run` to the first request for commands, and the agent's resident bytes a second later."""
    spec = the(build(ROOT / "kustomize/base"), "Deployment")["spec"]["template"]["spec"]
    server = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    pod = Pod(spec, folder, ENVIRONMENT | server | {"KUBENTLY_API_URL": api.url})
    (pod.volume("token") / "token").write_text(api.token)
    for name in ("token", "ca.crt"):
        (pod.volume("service-account") / name).write_text("not used before the first command")
    api.requests.clear()
    began = trio.current_time()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, pod.start)
            while not (polls := [seen.at for seen in api.requests if seen.path == "/agent/commands"]):
                await trio.sleep(0.005)
        await trio.sleep(1)
        return polls[0] - began, await trio.to_thread.run_sync(resident_bytes, pod)
    finally:
        await trio.to_thread.run_sync(pod.remove)


def resident_bytes(pod: Pod) -> int:
    """Of the agent's own process, which is the child of process 1."""
    status = pod.execute("sh", "-c", "cat /proc/$(cat /proc/1/task/1/children | cut -d' ' -f1)/status").stdout
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def nothing_seconds() -> float:
    """What podman itself takes: a container that ends at once."""
    began = time.monotonic()
    podman("run", "--rm", "--cpus=0.2", "--read-only", *MACHINE, "--entrypoint=true", IMAGE)
    return time.monotonic() - began


async def main(runs: int) -> None:
    size, below = inspect(IMAGE)["Size"], inspect(base())["Size"]
    print(f"size       {size / 1e6:.0f} MB, {(size - below) / 1e6:.0f} MB above {base()}")
    starts, memory, bare = [], [], []
    async with reference_api() as api:
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                seconds, resident = await first_poll_seconds(api, Path(folder))
            starts.append(seconds)
            memory.append(resident)
            bare.append(await trio.to_thread.run_sync(nothing_seconds))
    spread = f"median of {runs}; {min(starts):.2f} to {max(starts):.2f}"
    print(f"first poll {statistics.median(starts):.2f} s after `podman run` ({spread})")
    print(f"podman     {statistics.median(bare):.2f} s of it, for a container that does nothing")
    print(f"agent      {statistics.median(memory) / 1e6:.1f} MB resident when idle")


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 7)
