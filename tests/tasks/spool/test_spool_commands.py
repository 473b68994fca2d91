"""Accept, claim, append, finish."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from agent.errors import SpoolError, SpoolFull
from agent.model import Command, Outcome, Result
from agent.spool import Limits, Spool, open_spool
from tests.tasks.spool.kit import (
    LIMITS,
    MB,
    OK,
    Hands,
    accept,
    command,
    deliver_all,
    held,
    run,
    start,
    take,
    take_one,
    text,
)


async def test_what_is_accepted_is_claimed_in_order_and_whole(spool: Spool) -> None:
    intake = await spool.accept([command("a"), command("b", "logs", "x", "--tail=5")])
    assert intake.new == ("a", "b")
    claims = [spool.claim(), spool.claim()]
    assert [claim and claim.command for claim in claims] == [command("a"), command("b", "logs", "x", "--tail=5")]
    assert spool.claim() is None


async def test_an_id_is_accepted_once(spool: Spool) -> None:
    assert (await spool.accept([command("a"), command("a", "other"), command("b")])).known == ("a",)
    assert (await spool.accept([command("b"), command("c")])).new == ("c",)
    assert [(await start_next(spool)) for _ in range(3)] == ["a", "b", "c"]
    assert spool.claim() is None


async def start_next(spool: Spool) -> str:
    claim = spool.claim()
    assert claim is not None
    return claim.command.id


async def test_output_comes_back_as_it_was_written(spool: Spool) -> None:
    await start(spool, "a")
    await spool.append("a", "stdout", "première\n")
    await spool.append("a", "stderr", "warning\n")
    await spool.append("a", "stdout", "x" * 700_000)
    await spool.finish("a", OK, [("stdout", "ж" * 300_000), ("stderr", "")])
    delivery = await take_one(spool)
    expected = "première\n" + "x" * 700_000 + "ж" * 300_000
    assert await text(delivery) == expected
    assert await text(delivery, "stderr") == "warning\n"
    assert delivery.json_bytes("stdout") == len(expected.replace("\n", "\\n").encode())
    assert delivery.json_bytes("stderr") == len("warning\\n")
    assert all([len(piece.decode()) <= 256 * 1024 async for piece in delivery.pieces("stdout")])


async def test_a_result_has_everything_that_was_said_of_it(spool: Spool, hands: Hands) -> None:
    result = Result(Outcome.REFUSED, 3, "because", 12, 99, truncated=True, rule="verb")
    await run(spool, "a", "out", "err", result)
    delivery = await take_one(spool)
    assert delivery.result == result
    assert (delivery.command_id, delivery.attempts, delivery.executed_at) == ("a", 1, hands.wall)
    assert (delivery.correlation_id, delivery.session_id) == ("correlation-a", "session-a")


async def test_a_second_result_is_never_kept(spool: Spool) -> None:
    await run(spool, "a", "first")
    await spool.finish("a", Result(Outcome.FAILED), [("stdout", "second")])
    assert await deliver_all(spool) == {"a": "first"}


async def test_what_never_runs_is_answered_once(spool: Spool, hands: Hands) -> None:
    bad = Command("m", (), correlation_id="c")
    assert (await spool.accept([bad], Result(Outcome.REFUSED, error="no args"))).new == ("m",)
    assert (await spool.accept([bad], Result(Outcome.BUSY))).known == ("m",)
    assert (await spool.accept([command("m")])).known == ("m",)
    assert spool.claim() is None
    (delivery,) = await take(spool, 5)
    assert (delivery.result.outcome, delivery.correlation_id) == (Outcome.REFUSED, "c")
    assert delivery.executed_at == hands.wall, "the same each time that it is sent"


async def test_a_command_that_is_busy_answered_stays_so(spool: Spool) -> None:
    await spool.accept([command("a")], Result(Outcome.BUSY))
    await spool.accept([command("a")])
    assert spool.claim() is None


@pytest.mark.parametrize("state", ["spooled", "delivered", "rejected"])
async def test_a_known_result_is_sent_again(spool: Spool, state: str) -> None:
    await run(spool, "a", "out")
    delivery = await take_one(spool)
    if state == "delivered":
        spool.delivered(delivery.seq, 200)
    elif state == "rejected":
        spool.rejected(delivery.seq, 404, "unknown")
    else:
        spool.postponed(delivery.seq, 3600, 503, "later")
    before = await spool.counts()
    assert before.pending == (1 if state == "spooled" else 0)
    assert (await spool.accept([command("a")])).known == ("a",)
    assert spool.claim() is None
    assert await text(await take_one(spool)) == "out"
    after = await spool.counts()
    assert (after.pending, after.delivered, after.rejected) == (1, 0, 0)


async def test_a_result_in_flight_is_not_sent_twice_when_its_command_comes_again(spool: Spool) -> None:
    await run(spool, "a")
    await take_one(spool)
    await accept(spool, "a")
    assert await take(spool, 5) == []


async def test_an_id_that_comes_again_while_its_result_is_acknowledged(path: Path) -> None:
    async with open_spool(path, LIMITS) as spool:
        await run(spool, "a", "x" * 300_000)  # more than is kept once it is delivered
        delivery = await take_one(spool)
        async with held(spool) as go, trio.open_nursery() as nursery:
            nursery.start_soon(spool.accept, [command("a")])
            await trio.testing.wait_all_tasks_blocked()
            spool.delivered(delivery.seq, 200)
            go.set()
        assert await take(spool, 5) == [], "it has had its 2xx, and nothing else may be sent"


async def test_a_delivered_result_whose_output_is_gone_has_had_its_2xx(spool: Spool) -> None:
    await run(spool, "a", "x" * 300_000)  # more than is kept for people
    spool.delivered((await take_one(spool)).seq, 200)
    assert (await spool.accept([command("a")])).known == ("a",)
    assert await take(spool, 5) == []
    assert (await spool.counts()).delivered == 1


async def test_ids_and_errors_that_sqlite_cant_keep_dont_stop_anything(spool: Spool) -> None:
    odd = Command("a\0b\ud800", ("get", "\ud800\0"), None, "\ud800", "\0")
    await spool.accept([odd])
    assert (await spool.accept([odd])).known == (odd.id,)
    claim = spool.claim()
    assert claim is not None
    assert claim.command.args == odd.args
    await spool.finish(odd.id, Result(Outcome.FAILED, error="\ud800\x1b[2J"))
    delivery = await take_one(spool)
    assert delivery.result == Result(Outcome.FAILED, error="?\N{REPLACEMENT CHARACTER}[2J")


async def test_room_counts_the_journal_and_the_output_of_each(path: Path) -> None:
    async with open_spool(path, Limits(32 * MB, journal=3, output_bytes=MB)) as spool:
        assert spool.room == 3
        await accept(spool, "a", "b")
        assert spool.room == 1
        spool.claim()
        assert spool.room == 1
        await spool.finish("a", OK)
        assert spool.room == 2


async def test_what_room_promises_fits_and_delivery_makes_room_again(path: Path) -> None:
    async with open_spool(path, Limits(8 * MB, journal=100, output_bytes=MB)) as spool:
        taken = 0
        while spool.room > 0:
            await accept(spool, str(taken))
            await fill(spool, str(taken))
            taken += 1
        assert taken >= 3
        assert spool.full_because
        assert len(await deliver_all(spool)) == taken
        await spool.sweep()
        with trio.fail_after(60):
            await spool.space.wait()
        assert spool.room >= 1


async def fill(spool: Spool, name: str) -> None:
    """Run a command with as much output as was promised to fit."""
    claim = spool.claim()
    assert claim is not None
    assert claim.command.id == name
    left = claim.output_bytes
    while left > 0:
        size = min(left, 256 * 1024)
        await spool.append(name, "stdout", "x" * size)
        left -= size
    await spool.finish(name, OK, [("stderr", "e" * 64 * 1024)])


async def test_work_wakes_every_executor_that_has_something_to_do(spool: Spool) -> None:
    claimed = []

    async def executor() -> None:
        while True:
            await spool.work.wait()
            if claim := spool.claim():
                claimed.append(claim.command.id)
                await spool.finish(claim.command.id, OK)
                if len(claimed) == 20:
                    nursery.cancel_scope.cancel()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(executor)
            for n in range(20):
                await accept(spool, str(n))
    assert sorted(claimed, key=int) == [str(n) for n in range(20)]


async def test_a_cancelled_operation_is_carried_out(path: Path) -> None:
    async with open_spool(path, LIMITS) as spool, held(spool) as go:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(accept, spool, "a")
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                go.set()
        assert (await spool.accept([command("a")])).known == ("a",)


async def test_a_cancelled_caller_starts_nothing(spool: Spool) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await accept(spool, "a")
    assert (await spool.accept([command("a")])).new == ("a",)


async def test_a_closed_spool_says_so(path: Path) -> None:
    async with open_spool(path, LIMITS) as spool:
        pass
    with pytest.raises(SpoolError, match="closed"):
        await accept(spool, "a")
    await spool.close()


@pytest.mark.parametrize("args", ['["delete", "pods"]', "{", "5", '["get", 1]'])
async def test_a_command_that_was_damaged_before_a_restart_isnt_run_but_answered(path: Path, args: str) -> None:
    async with open_spool(path, LIMITS) as spool:
        await accept(spool, "a", "b")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("update commands set args = ? where command_id = 'a'", (args,))
    async with open_spool(path, LIMITS) as spool:
        assert await start_next(spool) == "b"
        delivery = await take_one(spool)
        assert (delivery.command_id, delivery.result.outcome) == ("a", Outcome.DAMAGED)
        assert (await spool.counts()).accepted == 0


async def test_a_result_given_twice_at_once_is_kept_once(path: Path) -> None:
    async with open_spool(path, LIMITS) as spool:
        await start(spool, "a")
        async with held(spool) as go, trio.open_nursery() as nursery:
            nursery.start_soon(spool.finish, "a", OK)
            nursery.start_soon(spool.finish, "a", OK)
            await trio.testing.wait_all_tasks_blocked()
            go.set()
        counts = await spool.counts()
        assert (counts.running, counts.pending) == (0, 1)


async def test_waiting_commands_reserve_no_room(path: Path) -> None:
    """Only those that run do: 36 that wait for four executors are no reason to turn others away."""
    async with open_spool(path, Limits(32 * MB, journal=100, output_bytes=4 * MB)) as spool:
        await accept(spool, *(str(n) for n in range(60)))
        assert spool.room == 40
        for _ in range(4):
            assert spool.claim() is not None
        assert spool.room == 40


async def test_a_full_spool_takes_nothing_at_all(path: Path) -> None:
    async with open_spool(path, Limits(2 * MB, journal=100_000, output_bytes=10_000)) as spool:
        with pytest.raises(SpoolFull, match="no room left"):
            await spool.accept([command(f"{n}", "x" * 1000) for n in range(3000)])
        assert (await spool.counts()).accepted == 0
        await accept(spool, "a")
