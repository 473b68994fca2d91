"""Tasks that wait are handed what they wait for with the commit that makes it: one write instead of two."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from agent.errors import SpoolFull
from agent.model import Command
from agent.spool import Claim, Delivery, Limits, Spool, journal, open_spool
from agent.spool.signals import Signal
from tests.tasks.spool.kit import LIMITS, OK, Hands, accept, command, held, run, start, text


class Waiting:
    """Tasks that wait for work or for results, as executors and uploaders do."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.claims: list[Claim | None] = []
        self.deliveries: list[Delivery] = []

    async def execute(self) -> None:
        await self.spool.work.wait()
        self.claims.append(await self.spool.claim())

    async def upload(self) -> None:
        await self.spool.due.wait()
        self.deliveries += await self.spool.take(1)

    @property
    def started(self) -> list[str]:
        return [claim.command.id for claim in self.claims if claim is not None]


def on_disk(path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(question).fetchall()


async def test_as_many_are_started_with_the_acceptance_as_tasks_wait(spool: Spool, path: Path) -> None:
    waiting = Waiting(spool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.execute)
        nursery.start_soon(waiting.execute)
        await trio.testing.wait_all_tasks_blocked()
        assert spool.work.waiting == 2
        async with held(spool) as go:
            nursery.start_soon(accept, spool, "a", "b", "c")
            await trio.testing.wait_all_tasks_blocked()
            go.set()
    assert sorted(waiting.started) == ["a", "b"]
    assert on_disk(path, "select command_id, state, runs from commands order by seq") == [
        ("a", "running", 1),
        ("b", "running", 1),
        ("c", "accepted", 0),
    ]
    counts = await spool.counts()
    assert (counts.accepted, counts.running) == (1, 2)


async def test_what_is_older_is_started_first(path: Path, hands: Hands) -> None:
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        await accept(spool, "older")
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        async with held(spool) as go, trio.open_nursery() as nursery:
            accepted, spool._tally.accepted = spool._tally.accepted, 0  # as between a wake-up and the claim after it
            nursery.start_soon(spool.work.wait)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(accept, spool, "newer")
            await trio.testing.wait_all_tasks_blocked()
            spool._tally.accepted = accepted
            go.set()
        assert [claim.command.id for claim in spool._started] == ["older"]


async def test_a_known_command_starts_nothing(spool: Spool) -> None:
    await start(spool, "a")
    waiting = Waiting(spool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.execute)
        await trio.testing.wait_all_tasks_blocked()
        await accept(spool, "a")
        await trio.testing.wait_all_tasks_blocked()
        assert waiting.claims == []
        await accept(spool, "b")
    assert waiting.started == ["b"]


async def test_a_started_command_that_nobody_fetched_is_claimed_by_whoever_asks(spool: Spool) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.work.wait)
        await trio.testing.wait_all_tasks_blocked()
        await accept(spool, "a")
    assert spool._started
    await spool.work.wait()  # it still counts as something to do
    claim = await spool.claim()
    assert claim is not None
    assert claim.command.id == "a"
    assert await spool.claim() is None
    await spool.finish("a", OK)


async def test_a_started_command_whose_agent_dies_runs_again(path: Path, hands: Hands, tmp_path: Path) -> None:
    async with open_spool(path, LIMITS, clock=hands.clock) as spool, trio.open_nursery() as nursery:
        nursery.start_soon(spool.work.wait)
        await trio.testing.wait_all_tasks_blocked()
        await accept(spool, "a")
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert spool.recovery.rerun == 1
        claim = await spool.claim()
        assert claim is not None
        assert (claim.command.id, claim.runs) == ("a", 2)


async def test_a_command_that_is_damaged_at_once_is_answered(spool: Spool) -> None:
    waiting = Waiting(spool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.execute)
        await trio.testing.wait_all_tasks_blocked()
        await spool._writer.run(_damage_new_commands, _state())
        await accept(spool, "a")
        await trio.testing.wait_all_tasks_blocked()
        assert waiting.claims == []
        assert (await spool.counts()).pending == 1
        await spool._writer.run(lambda db: db.execute("drop trigger damage"), _state())
        await accept(spool, "b")
    assert waiting.started == ["b"]


def _state():
    from agent.spool.writer import Kind  # noqa: PLC0415

    return Kind.ALONE


def _damage_new_commands(db: sqlite3.Connection) -> None:
    db.execute(
        "create temp trigger damage after insert on commands begin"
        " update commands set args = 'broken' where seq = new.seq; end"
    )


async def test_no_more_are_started_than_there_is_room_for_their_output(path: Path, hands: Hands) -> None:
    limits = Limits(max_bytes=12 << 20, output_bytes=2 << 20, journal=1000)
    async with open_spool(path, limits, clock=hands.clock) as spool:
        waiting = Waiting(spool)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(waiting.execute)
            await trio.testing.wait_all_tasks_blocked()
            room = spool.room
            assert 0 < room < 10
            await spool.accept([Command(f"c{n}", ("get", "pods")) for n in range(room)])
            await spool.counts()
            assert len(waiting.started) + len(spool._started) <= room
            assert all(claim is None or claim.output_bytes > 0 for claim in waiting.claims)
            nursery.cancel_scope.cancel()


async def test_a_result_is_taken_with_its_finish_when_a_sender_waits(spool: Spool, path: Path) -> None:
    waiting = Waiting(spool)
    await start(spool, "a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.upload)
        await trio.testing.wait_all_tasks_blocked()
        await spool.finish("a", OK, [("stdout", "text")])
        assert on_disk(path, "select attempts from results") == [(1,)]
    (delivery,) = waiting.deliveries
    assert (delivery.command_id, delivery.attempts) == ("a", 1)
    assert await text(delivery) == "text"
    assert await spool.take(1) == []
    spool.release(delivery.seq)
    (again,) = await spool.take(1)
    assert again.attempts == 2
    await spool.delivered(again.seq, 200)
    assert spool.pending == 0


async def test_two_results_for_one_waiting_sender_both_leave(spool: Spool) -> None:
    waiting = Waiting(spool)
    await start(spool, "a")
    await start(spool, "b")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.upload)
        await trio.testing.wait_all_tasks_blocked()
        async with held(spool) as go:
            nursery.start_soon(spool.finish, "a", OK)
            nursery.start_soon(spool.finish, "b", OK)
            await trio.testing.wait_all_tasks_blocked()
            go.set()
    await waiting.upload()
    assert sorted(each.command_id for each in waiting.deliveries) == ["a", "b"]
    assert await spool.take(1) == []


async def test_a_second_finish_hands_over_nothing(spool: Spool) -> None:
    await start(spool, "a")
    async with trio.open_nursery() as nursery, held(spool) as go:
        nursery.start_soon(spool.finish, "a", OK)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(spool.due.wait)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(spool.finish, "a", OK)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    assert len(await spool.take(5)) == 1
    assert spool.pending == 1


@pytest.mark.parametrize("looks_first", [True, False])
async def test_a_result_that_is_handed_over_is_taken_by_nobody_else(spool: Spool, looks_first: bool) -> None:
    """The sender that looks was woken for a result that was accepted later and finished earlier."""
    waiting, found = Waiting(spool), []
    await start(spool, "older")
    await run(spool, "newer")

    async def look() -> None:
        found.extend(await spool.take(5))

    async with trio.open_nursery() as nursery:
        (first,) = await spool.take(1)
        nursery.start_soon(waiting.upload)
        await trio.testing.wait_all_tasks_blocked()
        async with held(spool) as go:
            spool._tally.in_flight.pop(first.seq)
            for step in (look, lambda: spool.finish("older", OK))[:: 1 if looks_first else -1]:
                nursery.start_soon(step)
                await trio.testing.wait_all_tasks_blocked()
            go.set()
        with trio.fail_after(5):
            while len(found) + len(waiting.deliveries) < 2:
                await trio.sleep(0.01)
        await spool.counts()
        nursery.cancel_scope.cancel()
    sent = [each.command_id for each in (*found, *waiting.deliveries)]
    assert sorted(sent) == ["newer", "older"]


async def test_the_next_result_is_taken_with_the_verdict_on_the_last(spool: Spool, path: Path) -> None:
    for name in ("a", "b", "c"):
        await run(spool, name)
    (first,) = await spool.take(1)
    await spool.delivered(first.seq, 200)
    assert on_disk(path, "select command_id, attempts from results order by seq") == [("a", 1), ("b", 1), ("c", 0)]
    with trio.fail_after(1):
        await spool.due.wait()
    found = [*await spool.take(1), *await spool.take(5)]
    assert [(each.command_id, each.attempts) for each in found] == [("b", 1), ("c", 1)]
    async with trio.open_nursery() as nursery:  # with nothing left to take, and by two at once
        for each in found:
            nursery.start_soon(spool.delivered, each.seq, 200)
    assert (await spool.counts()).delivered == 3
    assert await spool.take(1) == []


async def test_a_finish_that_fails_hands_over_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    await start(spool, "a")
    monkeypatch.setattr(journal, "finish", _full)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.due.wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(SpoolFull):
            await spool.finish("a", OK)
        monkeypatch.undo()
        await spool.finish("a", OK)
    assert [each.command_id for each in await spool.take(5)] == ["a"]


async def test_a_finish_that_fails_before_anybody_waits(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    await start(spool, "a")
    monkeypatch.setattr(journal, "finish", _full)
    with pytest.raises(SpoolFull):
        await spool.finish("a", OK)
    monkeypatch.undo()
    await spool.finish("a", OK)
    assert [each.command_id for each in await spool.take(5)] == ["a"]


def _full(*_: object) -> None:
    raise SpoolFull("no room")


async def test_no_more_waiters_are_woken_than_have_something_to_do() -> None:
    ready = 0
    signal, woken = Signal(lambda: ready), []

    async def wait(number: int) -> None:
        nonlocal ready
        await signal.wait()
        ready -= 1
        woken.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(wait, number)
            await trio.testing.wait_all_tasks_blocked()
        ready = 2
        signal.poke()
        assert signal.waiting == 2
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(woken) == [0, 1]
        ready = 2
        signal.poke()
    assert sorted(woken) == [0, 1, 2, 3]


async def test_one_is_woken_to_wait_less_long(mock_clock: trio.testing.MockClock) -> None:
    mock_clock.autojump_threshold = 0
    until = 100.0
    signal = Signal(lambda: int(trio.current_time() >= until), lambda: until)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signal.wait)
        await trio.testing.wait_all_tasks_blocked()
        until = trio.current_time() + 10.0
        signal.poke()
        signal.poke()
    assert trio.current_time() <= 11 + until - 10


async def test_a_waiter_that_is_cancelled_leaves_nothing_behind() -> None:
    signal = Signal(lambda: 0)
    with trio.move_on_after(0.01):
        await signal.wait()
    assert signal.waiting == 0
    signal.poke()


async def test_commands_are_the_same_however_they_were_started(spool: Spool) -> None:
    waiting = Waiting(spool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.execute)
        await trio.testing.wait_all_tasks_blocked()
        await spool.accept([command("a", "logs", "x"), command("b", "logs", "x")])
    ordinary = await spool.claim()
    (handed,) = waiting.claims
    assert handed is not None
    assert ordinary is not None
    assert handed.command.args == ordinary.command.args
    assert (handed.runs, handed.waited_ms, handed.output_bytes) == (ordinary.runs, 0, ordinary.output_bytes)
