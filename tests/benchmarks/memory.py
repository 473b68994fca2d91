"""What the agent holds: at rest, after many commands, while a large output passes through."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from tests.benchmarks.agent import Measured, measured
from tests.benchmarks.figures import Figure, Report
from tests.kit.process import MEGABYTE

if TYPE_CHECKING:
    from tests.kit.api import Known

COMMANDS = 2_000
FLOOD_BYTES = 200 * MEGABYTE
AT_ONCE = 8


async def measure(report: Report, folder: Path, _: Path) -> None:
    """All of it."""
    async with measured(folder / "memory-commands") as agent:
        await trio.sleep(1)
        before = agent.watched.memory().resident
        await _many(agent)
        await trio.sleep(1)
        after = agent.watched.memory().resident
    report.add(
        Figure("memory after the first poll", "MB", before / MEGABYTE, budget=44),
        Figure(f"memory after {COMMANDS:,} commands", "MB", after / MEGABYTE, budget=44),
    )
    for what, most in (("all of it sent", "256Mi"), ("cut at 10 MiB", "10Mi")):
        await _flood(report, folder, what, most)


async def _many(agent: Measured) -> None:
    """Quick commands, a few at a time."""
    waiting: list[Known] = []
    for _ in range(COMMANDS):
        waiting.append(agent.api.queue("say-hello"))
        if len(waiting) >= AT_ONCE:
            await waiting.pop(0).answered.wait()
    for known in waiting:
        await known.answered.wait()


async def _flood(report: Report, folder: Path, what: str, most: str) -> None:
    limits: dict[str, Any] = {"KUBENTLY_MAX_OUTPUT_BYTES": most, "KUBENTLY_SPOOL_MAX_BYTES": "2Gi"}
    async with measured(folder / f"memory-{most}", **limits) as agent:
        await agent.through("echo-warm")
        await trio.sleep(1)
        idle = agent.watched.memory().resident
        agent.watched.reset_peak()
        cpu, began = agent.watched.cpu_seconds(), time.perf_counter()
        await agent.through(f"flood-{FLOOD_BYTES}")
        took = f"{time.perf_counter() - began:.1f} s, {agent.watched.cpu_seconds() - cpu:.1f} s of CPU"
        added = agent.watched.memory().peak - idle
    report.add(Figure(f"memory added by 200 MB of output, {what}", "MB", added / MEGABYTE, budget=8, note=took))
