"""A burst of commands through N executors, beside `xargs -P N` with the same lines, alternating."""

import subprocess
import time
from pathlib import Path

import trio

from tests.benchmarks.agent import Agent, running
from tests.benchmarks.api import BenchApi, bench_api
from tests.benchmarks.cluster import GET_PODS, KUBECTL
from tests.benchmarks.figures import Figure, Report, median, quantile

BURST = 32
ROUNDS = 7
WARM_UP = 4


async def measure(report: Report, folder: Path, kubeconfig: Path) -> None:
    """With the default number of executors, and with many more than cores."""
    for executors in (4, 16):
        place = folder / f"throughput-{executors}"
        place.mkdir()
        async with bench_api() as api:
            agent = Agent(
                api, place, kubectl=KUBECTL, kubeconfig=kubeconfig, KUBENTLY_EXECUTORS=str(executors), LOG_LEVEL="INFO"
            )
            async with running(agent):
                for _ in range(WARM_UP):
                    await api.result(GET_PODS)
                pairs = [(await through(api), await bare(agent, executors)) for _ in range(ROUNDS)]
        ratios = [other / own for own, other in pairs]
        report.add(
            Figure(
                f"{executors} executors, a burst of {BURST}, share of xargs' rate",
                "",
                median(ratios),
                budget=0.95,
                at_least=True,
                low=min(ratios),
                high=max(ratios),
                count=ROUNDS,
                note=f"{BURST / median([own for own, _ in pairs]):.1f} commands/s; xargs -P {executors}: "
                f"{BURST / quantile([other for _, other in pairs], 0.5):.1f}",
            )
        )


async def through(api: BenchApi) -> float:
    """Seconds from the first command handed out to the last result here."""
    await api.parked()
    before = api.results
    asked = [api.ask(GET_PODS) for _ in range(BURST)]
    await api.until_results(before + BURST)
    return max(one.arrived_at for one in asked) - asked[0].handed_out_at


async def bare(agent: Agent, processes: int) -> float:
    """Seconds that xargs takes for the same lines."""
    line, environ, cwd = agent.bare(GET_PODS)
    began = time.perf_counter()
    await trio.run_process(
        ["/usr/bin/xargs", "-P", str(processes), "-I{}", *line],
        stdin=b"again\n" * BURST,
        env=environ,
        cwd=cwd,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began
