"""What the agent holds: at rest, after many commands, while a large output passes through."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import trio

from tests.benchmarks.agent import QUICK, Agent, running, stand_in
from tests.benchmarks.api import BenchApi, bench_api
from tests.benchmarks.figures import Figure, Report
from tests.benchmarks.limits import GroupMemory, memory_counted
from tests.benchmarks.process import MEGABYTE
from tests.whole.agents import KUBECTL

COMMANDS = 10_000
FLOOD_BYTES = 200 * MEGABYTE
HUGE_BYTES = 1000 * MEGABYTE
AT_ONCE = 8
GROUP = "the whole cgroup, without page cache"


async def measure(report: Report, folder: Path, _: Path) -> None:
    """All of it."""
    await _commands(report, folder / "memory-commands")
    await _flood(report, folder / "memory-whole", "200 MB output, all of it sent", FLOOD_BYTES, "256Mi")
    await _flood(report, folder / "memory-cut", "200 MB output, cut at 10 MiB", FLOOD_BYTES)
    await _flood(report, folder / "memory-huge", "1 GB output, cut at 10 MiB", HUGE_BYTES)


@asynccontextmanager
async def weighed(
    place: Path, kubectl: str = KUBECTL, *, up: bool = True, environ: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[tuple[BenchApi, Agent, GroupMemory | None]]:
    """An agent in a group whose memory is counted, after its first poll. `up`: whether the API is there."""
    place.mkdir(exist_ok=True)
    stand = stand_in(place, kubectl)
    with memory_counted() as group:
        async with bench_api() as api:
            api.up = up
            agent = Agent(api, place, kubectl=stand, kubeconfig=None, LOG_LEVEL="INFO", **environ)
            async with running(agent, under=group.under if group else ()), trio.open_nursery() as nursery:
                await api.first_poll.wait()
                await trio.sleep(1)
                if group:
                    nursery.start_soon(group.most)
                yield api, agent, group
                nursery.cancel_scope.cancel()


async def _commands(report: Report, place: Path) -> None:
    async with weighed(place, QUICK) as (api, agent, group):
        before = agent.watched.memory()
        await many(api, COMMANDS)
        await trio.sleep(1)
        after = agent.watched.memory()
    report.add(
        Figure("memory after the first poll", "MB", before.resident / MEGABYTE, budget=38),
        Figure(f"memory after {COMMANDS:,} commands", "MB", after.resident / MEGABYTE, budget=38),
    )
    if group:
        report.add(Figure(f"peak meanwhile, {GROUP}", "MB", group.peak / MEGABYTE))


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
    limits = {"KUBENTLY_MAX_OUTPUT_BYTES": most, "KUBENTLY_SPOOL_MAX_BYTES": "2Gi"}
    async with weighed(place, environ=limits) as (api, agent, group):
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
    if group:
        report.add(Figure(f"peak meanwhile, {GROUP}", "MB", group.peak / MEGABYTE, note="the stand-in's too"))
