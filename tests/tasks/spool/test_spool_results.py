"""Take, send, settle."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from agent.errors import DamagedResult
from agent.model import Outcome, Result
from agent.spool import Spool, open_spool
from agent.spool.waiting import Signal
from tests.tasks.spool.kit import (
    LIMITS,
    Hands,
    accept,
    command,
    deliver_all,
    held,
    run,
    run_and_forget,
    take,
    take_one,
    text,
)


def look(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


async def test_results_are_taken_oldest_first_and_only_once(spool: Spool) -> None:
    for name in "abc":
        await run(spool, name)
    assert [delivery.command_id for delivery in await take(spool, 2)] == ["a", "b"]
    assert [delivery.command_id for delivery in await take(spool, 2)] == ["c"]
    assert await take(spool, 2) == []


async def test_uploaders_that_take_at_once_share_nothing(spool: Spool) -> None:
    for n in range(12):
        await run(spool, str(n))
    taken: list[str] = []

    async def uploader() -> None:
        taken.extend([delivery.command_id for delivery in await take(spool, 3)])

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(uploader)
    assert sorted(taken, key=int) == [str(n) for n in range(12)]


async def test_an_attempt_is_on_disk_before_it_is_made(spool: Spool, path: Path) -> None:
    await run(spool, "a")
    delivery = await take_one(spool)
    assert look(path, "select attempts from results") == [(1,)]
    spool.release(delivery.seq)
    assert (await take_one(spool)).attempts == 2


async def test_delivered_and_rejected_are_settled_for_good(spool: Spool, path: Path) -> None:
    for name in "ab":
        await run(spool, name, "out")
    first, second = await take(spool, 2)
    spool.delivered(first.seq, 200)
    spool.rejected(second.seq, 404, "unknown command")
    assert await take(spool, 5) == []
    counts = await spool.counts()
    assert (counts.pending, counts.pending_bytes, counts.delivered, counts.rejected) == (0, 0, 1, 1)
    rows = look(path, "select state, last_http_status, last_error, output from commands join results using (seq)")
    assert rows == [("delivered", 200, None, "kept"), ("rejected", 404, "unknown command", "whole")]


async def test_one_that_is_postponed_holds_up_no_other(spool: Spool) -> None:
    for name in "ab":
        await run(spool, name)
    spool.postponed((await take_one(spool)).seq, 3600, 503, "busy")
    assert (await take_one(spool)).command_id == "b"


async def test_a_postponed_result_is_due_again_in_time(
    spool: Spool, path: Path, hands: Hands, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05
    await run(spool, "a")
    seq = (await take_one(spool)).seq
    hands.wall -= 1e6  # a stepped clock doesn't matter
    began = trio.current_time()
    spool.postponed(seq, 30, 503, "busy")
    assert look(path, "select last_http_status, last_error from results") == [(503, "busy")]
    assert look(path, "select next_attempt_unix_ms from results") == [(round((hands.wall + 30) * 1000),)]
    await spool.due.wait()
    assert trio.current_time() - began == pytest.approx(30)
    assert (await take_one(spool)).attempts == 2


async def test_a_waiter_learns_of_a_sooner_moment(spool: Spool, autojump_clock: trio.testing.MockClock) -> None:
    autojump_clock.autojump_threshold = 0.05
    for name in "ab":
        await run(spool, name)
    first, second = await take(spool, 2)
    spool.postponed(first.seq, 1000, None, "refused")
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.due.wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        spool.postponed(second.seq, 5, None, "refused")
    assert trio.current_time() - began == pytest.approx(5, abs=0.5)


async def test_an_open_spool_wakes_the_uploader_for_each_result(spool: Spool) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.due.wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with trio.fail_after(60):
            await run(spool, "a")


async def test_one_sender_is_woken_for_one_result(spool: Spool) -> None:
    woken = []

    async def wait(name: str, signal: Signal) -> None:
        await signal.wait()
        woken.append(name)
        await spool.take()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "any", spool.due)
        nursery.start_soon(wait, "small", spool.due_small)
        await trio.testing.wait_all_tasks_blocked(0.01)
        for expected in (["small"], ["small", "any"]):
            await run(spool, expected[-1])
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert woken == expected


async def test_a_result_that_is_too_large_is_cut_and_sent(spool: Spool) -> None:
    await run(spool, "a", "é" * 400_000, "x" * 300_000, Result(Outcome.SUCCEEDED, 0, output_bytes=800_000))
    await spool.cut((await take_one(spool)).seq, 300_001)
    delivery = await take_one(spool)
    assert await text(delivery) == "é" * 150_000
    assert await text(delivery, "stderr") == "x" * 300_000
    assert delivery.json_bytes("stdout") == 300_000
    assert (delivery.result.truncated, delivery.result.output_bytes) == (True, 800_000)
    assert (await spool.counts()).pending_bytes == 600_000
    await spool.cut(delivery.seq, 0)
    delivery = await take_one(spool)
    assert [piece async for piece in delivery.pieces("stdout")] == [b""]
    assert delivery.result.outcome is Outcome.SUCCEEDED


async def test_a_stream_without_text_has_no_pieces(spool: Spool) -> None:
    await run(spool, "a", "", "x" * 300_000)
    assert [piece async for piece in (await take_one(spool)).pieces("stdout")] == []


async def test_a_small_result_isnt_marked_when_nothing_was_cut(spool: Spool) -> None:
    await run(spool, "a", "short")
    await spool.cut((await take_one(spool)).seq, 1000)
    assert not (await take_one(spool)).result.truncated


DAMAGES = [
    "update pieces set text = replace(text, 'x', 'y')",
    "update pieces set text = substr(text, 2)",
    "delete from pieces",
    "update results set exit_code = 1",
    "update results set outcome = 'no such thing'",
    "delete from results",
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_result_is_answered_with_an_error(spool: Spool, path: Path, damage: str) -> None:
    await run_and_forget(spool, "a", "x" * 10)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(damage)
    await is_answered_with_an_error(spool, path)


@pytest.mark.parametrize("damage", DAMAGES[:3])
async def test_a_damaged_output_is_noticed_before_it_is_sent_whole(spool: Spool, path: Path, damage: str) -> None:
    await run(spool, "a", "x" * 300_000)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(damage)
    delivery = await take_one(spool)
    read = []
    with pytest.raises(DamagedResult):  # noqa: PT012
        async for piece in delivery.pieces("stdout"):
            read.append(piece)  # noqa: PERF401
    assert sum(map(len, read)) < 300_000
    spool.release(delivery.seq)
    await is_answered_with_an_error(spool, path)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_output_isnt_cut_to_one_that_looks_right(spool: Spool, path: Path, damage: str) -> None:
    """As when "too large" is answered before all of it is sent."""
    await run(spool, "a", "x" * 300_000)
    delivery = await take_one(spool)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(damage)
    await spool.cut(delivery.seq, 150_000)
    await is_answered_with_an_error(spool, path)


async def is_answered_with_an_error(spool: Spool, path: Path) -> None:
    delivery = await take_one(spool)
    assert delivery.result.outcome is Outcome.DAMAGED
    assert not delivery.result.success
    assert "Ask again" in str(delivery.result.error)
    assert (await text(delivery), delivery.json_bytes("stdout")) == ("", 0)
    assert "record of a was damaged" in str(look(path, "select last_damage from status"))
    spool.release(delivery.seq)
    assert (await take_one(spool)).result == delivery.result
    spool.delivered(delivery.seq, 200)
    counts = await spool.counts()
    assert (counts.pending, counts.delivered) == (0, 1)


async def test_a_cancelled_take_gives_everything_back(path: Path) -> None:
    async with open_spool(path, LIMITS) as spool:
        await run_and_forget(spool, "a")
        with trio.CancelScope() as scope:
            async with held(spool) as go, trio.open_nursery() as nursery:
                nursery.start_soon(spool.take)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                go.set()
        assert (await take_one(spool)).attempts == 2


async def test_settling_twice_changes_nothing(spool: Spool) -> None:
    await run(spool, "a")
    seq = (await take_one(spool)).seq
    spool.delivered(seq, 200)
    spool.rejected(seq, 404, "?")
    counts = await spool.counts()
    assert (counts.pending, counts.delivered, counts.rejected) == (0, 1, 0)


async def test_counts_know_how_long_the_oldest_waits(spool: Spool, hands: Hands) -> None:
    assert (await spool.counts()).oldest_pending_age_seconds == 0
    await run(spool, "a", "12345")
    hands.pass_(90)
    hands.wall -= 1e6
    await spool.sweep()
    await run(spool, "b")
    counts = await spool.counts()
    assert (counts.oldest_pending_age_seconds, counts.pending, counts.pending_bytes) == (90, 2, 5)


async def test_states_survive_a_restart_and_results_arrive_once(path: Path, hands: Hands) -> None:
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        for name in "abc":
            await run(spool, name, f"output of {name}")
        spool.delivered((await take_one(spool)).seq, 200)
        spool.postponed((await take_one(spool)).seq, 3600, 503, "busy")
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert (await spool.accept([command("a"), command("b")])).known == ("a", "b")
        assert await deliver_all(spool) == {name: f"output of {name}" for name in "abc"}  # a once more, as asked
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert await deliver_all(spool) == {}
        await accept(spool, "d")
        assert (await spool.counts()).accepted == 1


async def test_recent_output_stays_for_people_within_a_budget(spool: Spool, path: Path) -> None:
    budget = spool._space.plan.kept_bytes
    for n in range(budget // 200_000 + 3):
        await run(spool, str(n), "x" * 200_000)
        spool.delivered((await take_one(spool)).seq, 200)
    await spool.sweep()
    kept = look(path, "select command_id from results where output = 'kept'")
    newest = budget // 200_000 + 2
    assert kept[-1] == (str(newest),)
    assert ("0",) not in kept
    (bytes_,) = look(path, "select sum(length(text)) from pieces")[0]
    assert isinstance(bytes_, int)
    assert 200_000 < bytes_ <= budget


async def test_who_isnt_answered_is_known_by_name(spool: Spool) -> None:
    for name in "abc":
        await run(spool, name)
    spool.delivered((await take_one(spool)).seq, 200)
    await spool.accept([command("d"), command("e")])
    spool.claim()
    assert await spool.unanswered(10) == ["b", "c", "d", "e"]
    assert await spool.unanswered(1) == ["b"]
    assert spool.pending == 2
