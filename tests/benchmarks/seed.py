"""Spools with many rows, written as the agent itself writes them, only faster."""

import sqlite3
from pathlib import Path

import trio

from agent.model import Command, Outcome, Result
from agent.spool import Limits, open_spool, outbox
from agent.spool.clock import Clock
from agent.spool.journal import append, insert_command, insert_result
from agent.spool.text import Written

OUTPUT = ("NAME                        READY   STATUS    RESTARTS   AGE\n" * 40)[:2000]
LIMITS = Limits(max_bytes=1 << 30, journal=64)


async def fill(path: Path, *, delivered: int = 0, pending: int = 0, output: str = OUTPUT) -> None:
    """Make a spool with so many results. Delivered ones have no output any more."""
    async with open_spool(path, LIMITS):
        pass
    await trio.to_thread.run_sync(_fill, path, delivered, pending, output)


def _fill(path: Path, delivered: int, pending: int, output: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma synchronous = off")
    db.execute("begin")
    now = Clock().now()
    written = Written().plus(output)
    result = Result(Outcome.SUCCEEDED, exit_code=0, execution_time_ms=50, output_bytes=len(output.encode()))
    for number in range(delivered + pending):
        command = Command(f"{number:08d}-seed-4f6b-9c3e-000000000000", ("get", "pods"), 10.0)
        seq = insert_command(db, command, "spooled", now)
        assert seq is not None
        if number < delivered:
            insert_result(db, seq, command.id, result, {}, now)
            outbox.settle(db, seq, "delivered", 200, None, now, keep=False)
        else:
            append(db, seq, "stdout", 0, output)
            insert_result(db, seq, command.id, result, {"stdout": written}, now)
    db.execute("commit")
    db.close()
