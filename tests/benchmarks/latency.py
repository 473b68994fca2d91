"""What the agent adds to one command, over the same kubectl line started directly, alternating."""

import subprocess
import time
from pathlib import Path

from tests.benchmarks.agent import QUICK, Agent, running, stand_in
from tests.benchmarks.api import BenchApi, bench_api
from tests.benchmarks.cluster import GET_PODS, KUBECTL
from tests.benchmarks.figures import Figure, Report, figure, median, quantile

WARM_UP = 5
ROUNDS = 120
"""kubectl's own time is spread over several ms: with 40 the median difference moved by as much as its budget."""


async def measure(report: Report, folder: Path, kubeconfig: Path) -> None:
    """The whole way of one command."""
    for name, args, environ_kubeconfig in (("quick", ("get", "pods"), None), ("get pods", GET_PODS, kubeconfig)):
        place = folder / f"latency-{name.replace(' ', '-')}"
        place.mkdir()
        kubectl = KUBECTL if environ_kubeconfig else stand_in(place, QUICK)
        async with bench_api() as api:
            agent = Agent(api, place, kubectl=kubectl, kubeconfig=environ_kubeconfig)
            async with running(agent):
                through, bare, cpu = await alternate(api, agent, args, ROUNDS)
        report.add(*_figures(name, through, bare, cpu))


async def alternate(
    api: BenchApi, agent: Agent, args: tuple[str, ...], rounds: int
) -> tuple[list[float], list[float], float]:
    """Milliseconds through the agent, and of the bare line; and the agent's own processor time for each command."""
    for _ in range(WARM_UP):
        await api.result(args)
    line, environ, cwd = agent.bare(args)
    through, bare = [], []
    before = agent.watched.cpu_seconds()
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(  # nothing else is to run meanwhile
            line,
            env=environ,
            cwd=cwd,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=True,
            start_new_session=True,
        )
        bare.append((time.perf_counter() - began) * 1000)
        asked = await api.result(args)
        through.append((asked.arrived_at - asked.handed_out_at) * 1000)
    return through, bare, (agent.watched.cpu_seconds() - before) * 1000 / rounds


def _figures(name: str, through: list[float], bare: list[float], cpu: float) -> list[Figure]:
    added = [one - other for one, other in zip(through, bare, strict=True)]
    real = name == "get pods"
    what = "real kubectl get pods" if real else "1 ms stand-in"
    return [
        figure(f"one command, {what}, API to API", "ms", through, bare=median(bare), bare_is="the same line"),
        Figure(
            f"added at the median, {what}",
            "ms",
            median(added),
            budget=3,
            low=quantile(added, 0.25),
            high=quantile(added, 0.75),
            count=len(added),
            note="the difference of neighbours, so that what the machine does meanwhile hits both",
        ),
        Figure(
            f"added at p95, {what}",
            "ms",
            quantile(through, 0.95) - quantile(bare, 0.95),
            budget=8,
            count=len(added),
        ),
        Figure(f"agent's own processor time a command, {what}", "ms", cpu, count=len(added)),
    ]
