"""The same operations in a spool with few rows and with very many: flat lines are what is hoped for."""

import sqlite3
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from agent.model import Command, Outcome, Result
from agent.spool import Limits, Spool, open_spool
from tests.benchmarks.figures import Figure, Report, figure, median
from tests.benchmarks.seed import OUTPUT, fill

SIZES = (10, 1_000, 100_000)
ROUNDS = 100
LIMITS = Limits(max_bytes=1 << 30, journal=64)
T = TypeVar("T")
RESULT = Result(Outcome.SUCCEEDED, exit_code=0, execution_time_ms=50, output_bytes=len(OUTPUT))


async def measure(report: Report, folder: Path, _: Path) -> None:
    """Delivered rows, then pending ones."""
    for kind in ("delivered", "pending"):
        of: dict[str, dict[int, float]] = {}
        for size in SIZES:
            path = folder / f"growth-{kind}-{size}.db"
            await fill(path, **{kind: size}, output="x" * 100)
            began = time.perf_counter()
            async with open_spool(path, LIMITS) as spool:
                opened = time.perf_counter() - began
                found = await _operations(spool, kind)
            for name, value in (("open", opened * 1000), *found.items()):
                of.setdefault(name, {})[size] = value
        report.lines[f"growth-{kind}"] = {
            name: [(float(size), value) for size, value in points.items()] for name, points in of.items()
        }
        for name, points in of.items():
            report.add(
                Figure(
                    f"{name} with {SIZES[-1]:,} {kind}",
                    "ms",
                    points[SIZES[-1]],
                    bare=points[SIZES[0]],
                    bare_is=f"with {SIZES[0]}",
                    count=1 if name == "open" else ROUNDS,
                )
            )
    report.add(_bare_insert(folder))


async def _operations(spool: Spool, kind: str) -> dict[str, float]:
    """Medians in ms."""
    times: dict[str, list[float]] = {}

    async def timed(name: str, work: Awaitable[T]) -> T:
        began = time.perf_counter()
        value = await work
        times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return value

    for number in range(ROUNDS):
        command = Command(f"round-{number}", ("get", "pods"), 10.0)
        await timed("accept", spool.accept([command]))
        claim = await spool.claim()
        assert claim is not None
        await timed("finish", spool.finish(claim.command.id, RESULT, [("stdout", OUTPUT)]))
        (delivery,) = await timed("take", spool.take(1))
        await timed("delivered", spool.delivered(delivery.seq, 200))
        await timed("counts", spool.counts())
    await timed("sweep", spool.sweep())
    return {name: median(values) for name, values in times.items()}


def _bare_insert(folder: Path) -> Figure:
    """One row of 2 KB into a bare SQLite, durably: what every write of the spool is held against."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.execute("create table t (id integer primary key, text text)")
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        db.execute("insert into t (text) values (?)", (OUTPUT,))
        times.append((time.perf_counter() - began) * 1000)
    db.close()
    return figure("bare SQLite: one durable row of 2 KB", "ms", times)
