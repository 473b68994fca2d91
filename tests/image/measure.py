"""The image in figures: `.venv/bin/python -m tests.image.measure [RUNS]`, as root, with podman and the image.

How large it is, and how long a container takes from its start to the agent's first poll at the manifest's CPU limit,
over HTTPS, beside a container that does nothing. The processor's time in it is what a busy machine doesn't change.
What memory it takes under load is printed by tests/cluster/test_pod.py.
"""

import os
import ssl
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import trio
import trustme

from demo.api import ReferenceApi, reference_api
from demo.server import Tls
from tests.image.podman import IMAGE, MACHINE, ROOT, Pod, base, inspect, podman
from tests.kustomize.builds import build, the

ENVIRONMENT = {
    "CLUSTER_ID": "sample",
    "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
    # Beside the system's authorities, which are looked at too.
    "SSL_CERT_FILE": "/var/run/secrets/kubently/ca.crt",
}


@dataclass(frozen=True)
class Start:
    """One start of the container."""

    first_poll_seconds: float
    cpu_seconds: float
    """Of the agent's own process, until a second after its first poll."""
    resident_bytes: int
    """Of the agent's own process, a second after its first poll."""


async def start(api: ReferenceApi, authority: str, folder: Path) -> Start:
    """From `podman run` to the first request for commands."""
    spec = the(build(ROOT / "kustomize/base"), "Deployment")["spec"]["template"]["spec"]
    server = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    pod = Pod(spec, folder, ENVIRONMENT | server | {"KUBENTLY_API_URL": api.url})
    (pod.volume("token") / "token").write_text(api.token)
    (pod.volume("token") / "ca.crt").write_text(authority)
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
        return Start(polls[0] - began, *await trio.to_thread.run_sync(taken_by, pod))
    finally:
        await trio.to_thread.run_sync(pod.remove)


def taken_by(pod: Pod) -> tuple[float, int]:
    """Seconds of CPU and resident bytes of the agent's own process, which is the child of process 1."""
    look = "cat /proc/$(cat /proc/1/task/1/children | cut -d' ' -f1)/stat"
    fields = pod.execute("sh", "-c", look).stdout.rpartition(")")[2].split()
    user, system, pages = fields[11], fields[12], fields[21]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), int(pages) * os.sysconf("SC_PAGE_SIZE")


def nothing_seconds() -> float:
    """What podman itself takes: a container that ends at once."""
    began = time.monotonic()
    podman("run", "--rm", "--cpus=0.2", "--read-only", *MACHINE, "--entrypoint=true", IMAGE)
    return time.monotonic() - began


def served_over_tls() -> Tls:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return Tls(context, authority.cert_pem.bytes().decode())


async def main(runs: int) -> None:
    size, below = inspect(IMAGE)["Size"], inspect(base())["Size"]
    print(f"size       {size / 1e6:.0f} MB, {(size - below) / 1e6:.0f} MB above {base()}")
    starts, bare = [], []
    tls = served_over_tls()
    async with reference_api(tls=tls) as api:
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                starts.append(await start(api, tls.authority, Path(folder)))
            bare.append(await trio.to_thread.run_sync(nothing_seconds))
    seconds = [each.first_poll_seconds for each in starts]
    spread = f"median of {runs}; {min(seconds):.2f} to {max(seconds):.2f}"
    print(f"first poll {statistics.median(seconds):.2f} s after `podman run` ({spread})")
    print(f"podman     {statistics.median(bare):.2f} s of it, for a container that does nothing")
    print(f"processor  {statistics.median(each.cpu_seconds for each in starts):.2f} s of it, for the agent")
    print(f"agent      {statistics.median(each.resident_bytes for each in starts) / 1e6:.1f} MB resident when idle")


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 7)
