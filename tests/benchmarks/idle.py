"""An agent with nothing to do, beside all other measurements: its processor time, its requests, its bytes."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.benchmarks.agent import measured
from tests.benchmarks.figures import Figure, Report, median

SETTLE_SECONDS = 5
LEAST_SECONDS = 240


@asynccontextmanager
async def meanwhile(report: Report, folder: Path, wanted: bool) -> AsyncIterator[None]:
    """Keep one idle agent while the body runs, and at least for some minutes."""
    if not wanted:
        yield
        return
    async with measured(folder / "idle") as agent:
        await trio.sleep(SETTLE_SECONDS)
        began, before = time.perf_counter(), agent.watched.cpu_seconds()
        yield
        await trio.sleep(max(0, began + LEAST_SECONDS - time.perf_counter()))
        seconds = time.perf_counter() - began
        used = agent.watched.cpu_seconds() - before
        resident = agent.watched.memory().resident
        seen = [each for each in agent.api.exchanges if each.at > began and each.status]
    polls = [each.sent_bytes + each.answered_bytes for each in seen if each.status == 204]
    report.add(
        Figure("idle: CPU", "% of core", used / seconds * 100, budget=0.2, note=f"over {seconds:.0f} s"),
        Figure("idle: resident memory", "MB", resident / 1e6, budget=44),
        Figure("idle: requests a minute", "", len(seen) / seconds * 60, budget=4),
        Figure("one empty poll, both directions", "bytes", median(polls), budget=450, count=len(polls)),
    )
