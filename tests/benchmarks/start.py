"""From the start of the process to its first poll, beside an interpreter that only imports trio and httpx."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from tests.benchmarks.agent import PYTHON, QUICK, Agent, running, stand_in
from tests.benchmarks.api import bench_api
from tests.benchmarks.figures import Figure, Report, figure, median
from tests.benchmarks.limits import cpu_limited

ROUNDS = 9
LIMITED_ROUNDS = 3
LIMIT = 0.2
BARE = "import trio, httpx, sqlite3"


async def measure(report: Report, folder: Path, _: Path) -> None:
    """Without a limit, and at the manifest's 0.2 of a core."""
    own, bare, cpu = [], [], []
    for number in range(ROUNDS):
        bare.append(await bare_seconds())
        seconds, used = await first_poll(folder / f"start-{number}", ())
        own.append(seconds)
        cpu.append(used)
    report.add(
        figure("start to first poll", "s", own[1:], budget=0.4, bare=median(bare[1:]), bare_is=f"python -c '{BARE}'"),
        figure("processor time until the first poll", "s", cpu[1:]),
    )
    with cpu_limited(LIMIT) as under:
        if under:
            limited = [(await first_poll(folder / f"start-limited-{n}", under))[0] for n in range(LIMITED_ROUNDS)]
            report.add(figure(f"start to first poll at {LIMIT} of a core", "s", limited))
        else:
            report.add(
                Figure(
                    f"start to first poll at {LIMIT} of a core",
                    "s",
                    median(cpu[1:]) / LIMIT,
                    note="reckoned from processor time",
                )
            )


async def first_poll(folder: Path, under: Sequence[str]) -> tuple[float, float]:
    """Wall and processor seconds."""
    folder.mkdir()
    async with bench_api() as api:
        agent = Agent(api, folder, kubectl=stand_in(folder, QUICK), LOG_LEVEL="INFO")
        began = time.perf_counter()
        async with running(agent, under=under):
            await api.first_poll.wait()
            return api.first_poll_at - began, agent.watched.cpu_seconds()


async def bare_seconds() -> float:
    """For the imports alone."""
    began = time.perf_counter()
    await trio.run_process([PYTHON, "-c", BARE], env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began
