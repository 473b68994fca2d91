"""From the start of the process to its first poll, beside an interpreter that only imports trio and httpx."""

import os
import subprocess
import time
from pathlib import Path

import trio

from tests.benchmarks.agent import PYTHON, Measured
from tests.benchmarks.figures import Report, figure, median
from tests.kit.api import fake_api

ROUNDS = 9
BARE = "import trio, httpx, sqlite3"


async def measure(report: Report, folder: Path, _: Path) -> None:
    """Seconds, and the processor's share of them."""
    own, bare, cpu = [], [], []
    for number in range(ROUNDS):
        bare.append(await _bare())
        seconds, used = await _first_poll(folder / f"start-{number}")
        own.append(seconds)
        cpu.append(used)
    report.add(
        figure("start to first poll", "s", own[1:], budget=0.4, bare=median(bare[1:]), bare_is=f"python -c '{BARE}'"),
        figure("CPU time until the first poll", "s", cpu[1:]),
    )


async def _first_poll(folder: Path) -> tuple[float, float]:
    """Wall and processor seconds."""
    async with fake_api(["poll"], weighs=True) as api:
        agent = Measured(api, folder)
        began = time.perf_counter()
        await agent.start()
        try:
            await api.parked()
            used = agent.watched.cpu_seconds()
        finally:
            await agent.end()
        return next(each.at for each in api.exchanges if each.path == "/agent/commands") - began, used


async def _bare() -> float:
    """For the imports alone."""
    began = time.perf_counter()
    await trio.run_process([PYTHON, "-c", BARE], env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began
