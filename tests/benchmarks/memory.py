"""What the agent holds: at rest, after many commands, while a large output passes through, over a large backlog."""

import time
from pathlib import Path

import trio

from tests.benchmarks.agent import QUICK, Agent, running, stand_in
from tests.benchmarks.api import BenchApi, bench_api
from tests.benchmarks.figures import Figure, Report
from tests.benchmarks.limits import memory_counted
from tests.benchmarks.process import MEGABYTE
from tests.benchmarks.seed import fill

COMMANDS = 1000
FLOOD_BYTES = 200 * MEGABYTE
HUGE_BYTES = 1000 * MEGABYTE
BACKLOG = 100_000
AT_ONCE = 8


async def measure(report: Report, folder: Path, _: Path) -> None:
    """All of it."""
    await _commands(report, folder / "memory-commands")
    await _flood(report, folder / "memory-whole", "200 MB output, all of it sent", FLOOD_BYTES, "256Mi")
    await _flood(report, folder / "memory-cut", "200 MB output, cut at 10 MiB", FLOOD_BYTES)
    await _flood(report, folder / "memory-huge", "1 GB output, cut at 10 MiB", HUGE_BYTES)
    await _backlog(report, folder / "memory-backlog")


async def _commands(report: Report, place: Path) -> None:
    place.mkdir()
    with memory_counted() as group:
        async with bench_api() as api:
            agent = Agent(api, place, kubectl=stand_in(place, QUICK), LOG_LEVEL="INFO")
            async with running(agent, under=group.under if group else ()):
                await api.first_poll.wait()
                await trio.sleep(1)
                before = agent.watched.memory()
                await many(api, COMMANDS)
                await trio.sleep(1)
                after = agent.watched.memory()
                report.add(
                    Figure("memory after the first poll", "MB", before.resident / MEGABYTE, budget=38),
                    Figure(f"memory after {COMMANDS:,} commands", "MB", after.resident / MEGABYTE, budget=38),
                )
                if group:
                    report.add(Figure("the whole cgroup then, without page cache", "MB", group.anonymous() / MEGABYTE))


async def many(api: BenchApi, count: int) -> None:
    """Run so many quick commands, a few at a time."""
    waiting: list[trio.Event] = []
    for _ in range(count):
        waiting.append(api.ask(("get", "pods")).arrived)
        if len(waiting) >= AT_ONCE:
            await waiting.pop(0).wait()
    for arrived in waiting:
        await arrived.wait()


async def _flood(report: Report, place: Path, what: str, size: int, most: str = "10Mi") -> None:
    place.mkdir()
    async with bench_api() as api:
        agent = Agent(
            api,
            place,
            kubectl=stand_in(place),
            LOG_LEVEL="INFO",
            KUBENTLY_MAX_OUTPUT_BYTES=most,
            KUBENTLY_SPOOL_MAX_BYTES="2Gi",
        )
        async with running(agent):
            await api.result(("get", "pods", "echo-warm"))
            await trio.sleep(1)
            idle = agent.watched.memory().resident
            agent.watched.reset_peak()
            cpu, began = agent.watched.cpu_seconds(), time.perf_counter()
            asked = await api.result(("get", "pods", f"flood-{size}"))
            seconds = time.perf_counter() - began
            cpu = agent.watched.cpu_seconds() - cpu
            peak = agent.watched.memory().peak
    assert b'"success":true' in asked.beginning[:300], asked.beginning[:300]
    report.add(
        Figure(
            f"peak memory, {what}",
            "MB",
            peak / MEGABYTE,
            budget=48,
            bare=idle / MEGABYTE,
            bare_is="before it",
            note=f"{seconds:.1f} s, {cpu:.1f} s of processor; body of {asked.body_bytes / MEGABYTE:.1f} MB",
        ),
        Figure(f"added by it, {what}", "MB", (peak - idle) / MEGABYTE, budget=10),
    )


async def _backlog(report: Report, place: Path) -> None:
    place.mkdir()
    await fill(place / "spool.db", pending=BACKLOG, output="x" * 100)
    async with bench_api() as api:
        api.up = False
        agent = Agent(api, place, kubectl=stand_in(place, QUICK), LOG_LEVEL="INFO")
        async with running(agent):
            await api.first_poll.wait()
            await trio.sleep(3)
            report.add(
                Figure(f"memory over a backlog of {BACKLOG:,}, API away", "MB", agent.watched.memory().peak / MEGABYTE)
            )
