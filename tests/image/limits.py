"""How soon the image answers at the manifest's CPU limit and at others: `python -m tests.image.limits`, as root.

For each limit one container: single commands with a pause between, bursts of eight, and kubectl alone in the same
container. The API and the cluster are outside and unlimited, over TLS. Prints a table, and writes it into
docs/deploying.md.
"""

import statistics
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from demo.api import ReferenceApi, reference_api
from demo.cluster.api import SampleCluster, sample_cluster
from tests.image.measure import ENVIRONMENT, served_over_tls
from tests.image.podman import ROOT, Pod
from tests.kustomize.builds import build, the

DOCUMENT = ROOT / "docs/deploying.md"
BEGIN, END = "<!-- limits: begin -->\n", "<!-- limits: end -->"
LIMITS = ("200m", "500m", "1")
ROUNDS = 10
BURST = 8
PAUSE_SECONDS = 1.5
"""Before each measurement, as a limit is enforced over 0.1 s, and what ran before has used it up."""

LINE = ("get", "pods", "-A")
ALONE = (
    "TIMEFORMAT=%R; time kubectl --kubeconfig=/tmp/kubectl/kubeconfig --cache-dir=/tmp/kubectl/cache "
    f"{' '.join(LINE)} >/dev/null"
)


@dataclass
class Seconds:
    """What was measured at one limit."""

    alone: list[float] = field(default_factory=list)
    """kubectl, without the agent."""
    one: list[float] = field(default_factory=list)
    """A command by itself, API to API."""
    first: list[float] = field(default_factory=list)
    """The first answer of a burst, and the last."""
    last: list[float] = field(default_factory=list)


async def asked(api: ReferenceApi, count: int) -> list[float]:
    """Seconds until each answer, when so many are asked at once; the soonest first."""
    began = trio.current_time()
    ids = [await api.ask(LINE, timeout=60) for _ in range(count)]
    took: list[float] = []

    async def wait(command_id: str) -> None:
        answer = await api.result(command_id)
        assert answer.success, answer.error
        took.append(trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        for command_id in ids:
            nursery.start_soon(wait, command_id)
    return took


async def kubectl_alone(pod: Pod) -> float:
    done = await trio.to_thread.run_sync(pod.execute, "bash", "-c", ALONE)
    assert done.returncode == 0, done.stderr
    return float(done.stderr.strip())


async def rested(measure: Callable[[], Awaitable[object]]) -> None:
    await trio.sleep(PAUSE_SECONDS)
    await measure()


async def at(limit: str, api: ReferenceApi, cluster: SampleCluster, authority: str, folder: Path) -> Seconds:
    """One container's figures."""
    spec = the(build(ROOT / "kustomize/base"), "Deployment")["spec"]["template"]["spec"]
    spec["containers"][0]["resources"]["limits"]["cpu"] = limit
    host, _, port = cluster.url.removeprefix("https://").partition(":")
    server = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    environ = ENVIRONMENT | server | {"KUBENTLY_API_URL": api.url, "CLUSTER_ID": api.cluster_id}
    # What else the machine does comes after it, so that the limit decides.
    pod = Pod(spec, folder, environ, options=["--cpu-shares=100000"])
    for volume, token in (("token", api.token), ("service-account", cluster.token)):
        (pod.volume(volume) / "token").write_text(token)
        (pod.volume(volume) / "ca.crt").write_text(authority)
    found = Seconds()

    async def one() -> None:
        found.one.extend(await asked(api, 1))

    async def alone() -> None:
        found.alone.append(await kubectl_alone(pod))

    async def burst() -> None:
        took = await asked(api, BURST)
        found.first.append(took[0])
        found.last.append(took[-1])

    try:
        await trio.to_thread.run_sync(pod.start)
        await asked(api, 2)  # with an empty cache kubectl asks more
        for _ in range(ROUNDS):
            for measure in (alone, one, burst):
                await rested(measure)
    finally:
        await trio.to_thread.run_sync(pod.remove)
    return found


def row(limit: str, found: Seconds) -> str:
    words = [f"{statistics.median(each):.2f} s" for each in (found.alone, found.one, found.first, found.last)]
    return f"| {limit} | {' | '.join(words)} | {max(found.last):.2f} s |"


async def main() -> None:
    tls = served_over_tls()
    rows = []
    for limit in LIMITS:
        with tempfile.TemporaryDirectory() as folder:
            async with reference_api(tls=tls) as api, sample_cluster(tls=tls) as cluster:
                rows.append(row(limit, await at(limit, api, cluster, tls.authority, Path(folder))))
        print(rows[-1], flush=True)
    head = [
        f"| CPU limit | kubectl alone | `{' '.join(LINE)}` | of {BURST} at once the first | the last | at worst |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    DOCUMENT.write_text(before + BEGIN + "\n".join([*head, *rows]) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    trio.run(main)
