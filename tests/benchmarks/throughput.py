"""A burst of commands through N executors, beside `xargs -P N` with the same lines, in turn."""

import subprocess
import time
from pathlib import Path

import trio

from tests.benchmarks.agent import Measured, measured
from tests.benchmarks.cluster import GET_PODS, KUBECTL
from tests.benchmarks.figures import Report, figure, median

BURST = 32
ROUNDS = 7


async def measure(report: Report, folder: Path, kubeconfig: Path) -> None:
    """With the default number of executors, and with many more than cores."""
    for executors in (4, 16):
        async with measured(
            folder / f"throughput-{executors}",
            kubectl=KUBECTL,
            kubeconfig=kubeconfig,
            KUBENTLY_EXECUTORS=str(executors),
        ) as agent:
            await _through(agent)
            await _bare(agent, executors)
            pairs = [(await _through(agent), await _bare(agent, executors)) for _ in range(ROUNDS)]
        rates = [BURST / median(list(seconds)) for seconds in zip(*pairs, strict=True)]
        report.add(
            figure(
                f"{executors} executors, burst of {BURST}, rate, ratio to xargs",
                "",
                [other / own for own, other in pairs],
                budget=0.95,
                at_least=True,
                note=f"{rates[0]:.1f} commands/s; xargs -P {executors}: {rates[1]:.1f}",
            )
        )


async def _through(agent: Measured) -> float:
    """Seconds from the first command handed out to the last result here."""
    await agent.api.parked()
    all_known = [agent.api.queue([*GET_PODS], timeout=60) for _ in range(BURST)]
    for known in all_known:
        await known.answered.wait()
    return max(known.arrived_at for known in all_known) - min(known.left_at for known in all_known)


async def _bare(agent: Measured, processes: int) -> float:
    """Seconds that xargs takes for the same lines."""
    line, environ = agent.bare(GET_PODS)
    began = time.perf_counter()
    await trio.run_process(
        ["/usr/bin/xargs", "-P", str(processes), "-I{}", *line],
        stdin=b"again\n" * BURST,
        env=environ,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began
