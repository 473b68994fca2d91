"""Killed at every single statement of every operation: it has happened or it hasn't, and nothing else is touched."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.model import Outcome, Result
from agent.spool import Spool, open_spool
from agent.spool.writer import Need
from tests.tasks.spool.kit import LIMITS, OK, Hands, command, run, snapshot, start, take, take_one, text

LONG = "a long line of output\n" * 13_000  # more than a piece
BUSY = Result(Outcome.BUSY)


async def accept(spool: Spool) -> None:
    await spool.accept([command("new-1"), command("new-2")])


async def answer(spool: Spool) -> None:
    await spool.accept([command("new-1")], BUSY)


async def claim(spool: Spool) -> None:
    spool.claim()


async def append(spool: Spool) -> None:
    await spool.append("running", "stdout", LONG)


async def finish(spool: Spool) -> None:
    await spool.finish("running", OK, [("stdout", LONG), ("stderr", "tail")])


async def take_five(spool: Spool) -> None:
    await take(spool, 5)


async def deliver(spool: Spool) -> None:
    spool.delivered((await take_one(spool)).seq, 200)


async def reject(spool: Spool) -> None:
    spool.rejected((await take_one(spool)).seq, 404, "unknown")


async def postpone(spool: Spool) -> None:
    spool.postponed((await take_one(spool)).seq, 5, 503, "busy")


async def cut(spool: Spool) -> None:
    await spool.cut((await take_one(spool)).seq, 1000)


async def sweep(spool: Spool) -> None:
    await spool.sweep()


@pytest.mark.parametrize(
    "operation", [accept, answer, claim, append, finish, take_five, deliver, reject, postpone, cut, sweep]
)
async def test_an_operation_has_happened_or_not(
    path: Path, folder: Path, hands: Hands, operation: Callable[[Spool], Awaitable[None]]
) -> None:
    copies: list[Path] = []

    def copy(_: str) -> None:
        copies.append(snapshot(path, folder / str(len(copies))))

    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        await run(spool, "delivered", LONG)
        spool.delivered((await take_one(spool)).seq, 200)
        hands.pass_(90_000)  # the sweep forgets it
        for name in "ab":
            await run(spool, name, f"{name}: {LONG}")
        await start(spool, "running")
        await spool.append("running", "stdout", "begun\n")
        await spool.accept([command("accepted")])
        await spool._writer.run(Need.OUTSIDE, lambda db: db.set_trace_callback(copy))
        await operation(spool)
        await spool._writer.run(Need.OUTSIDE, lambda db: db.set_trace_callback(None))
    assert len(copies) > 3
    for file in copies:
        await check(file, hands, operation.__name__)


async def check(path: Path, hands: Hands, operation: str) -> None:
    """Everything that was acknowledged comes to one right end."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:  # else it would bring the log in
        states = dict(db.execute("select command_id, state from commands"))
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    new = {"new-1", "new-2"} if operation == "accept" else {"new-1"} if operation == "answer" else set()
    assert states.keys() - {"delivered"} in ({"a", "b", "running", "accepted"}, {"a", "b", "running", "accepted"} | new)
    arrived: dict[str, tuple[Outcome, str]] = {}
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert spool.recovery.damage is None
        while taken := spool.claim():
            await spool.finish(taken.command.id, OK, [("stdout", "run again")])
        while deliveries := await take(spool, 5):
            for delivery in deliveries:
                assert delivery.command_id not in arrived
                arrived[delivery.command_id] = (delivery.result.outcome, await text(delivery))
                spool.delivered(delivery.seq, 200)
        assert not spool._unrecorded
    again = (Outcome.SUCCEEDED, "run again")
    possible = {
        "a": {(Outcome.SUCCEEDED, f"a: {LONG}")},
        "b": {(Outcome.SUCCEEDED, f"b: {LONG}")},
        "running": {again},
        "accepted": {again},
        "new-1": {again if operation == "accept" else (Outcome.BUSY, "")},
        "new-2": {again},
    }
    if operation == "finish":
        possible["running"].add((Outcome.SUCCEEDED, f"begun\n{LONG}"))
    if operation == "cut":
        possible["a"].add((Outcome.SUCCEEDED, f"a: {LONG}"[:1000]))
    settled = {name for name, state in states.items() if state in {"delivered", "rejected"}}
    assert settled <= {"delivered", "a"}
    assert arrived.keys() == states.keys() - settled
    assert all(arrived[name] in possible[name] for name in arrived)
    if "a" in settled:
        assert operation in {"deliver", "reject"}
