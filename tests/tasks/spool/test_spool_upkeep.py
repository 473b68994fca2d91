"""Forgetting, shrinking, and people's wishes."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio

from agent.errors import SpoolError, SpoolFull
from agent.model import Outcome, Result
from agent.spool import Limits, Spool, journal, maintenance, open_spool
from agent.spool.reader import ask, open_reader
from agent.spool.space import beside, file_bytes
from agent.spool.writer import Need
from tests.tasks.spool.kit import LIMITS, MB, OK, Hands, accept, command, deliver_all, run, start, take, take_one, text

DAY = 86_400


async def settle(spool: Spool, id: str, state: str = "delivered", size: int = 10) -> None:  # noqa: A002
    await run(spool, id, "x" * size)
    delivery = await take_one(spool)
    if state == "delivered":
        spool.delivered(delivery.seq, 200)
    else:
        spool.rejected(delivery.seq, 404, "unknown")


async def test_retention_forgets_only_what_was_settled_long_ago(spool: Spool, hands: Hands) -> None:
    await settle(spool, "delivered")
    await settle(spool, "rejected", "rejected")
    hands.pass_(1)
    await settle(spool, "young")
    await run(spool, "waiting")
    await start(spool, "running")
    await accept(spool, "accepted")
    hands.pass_(DAY - 1)
    await spool.sweep()
    assert (await spool.counts()).rejected == 1
    hands.pass_(1)
    await spool.sweep()
    counts = await spool.counts()
    assert (counts.accepted, counts.running, counts.pending, counts.delivered, counts.rejected) == (1, 1, 1, 1, 0)
    hands.pass_(1000 * DAY)
    await spool.sweep()
    names = ("delivered", "waiting", "running", "accepted")
    assert (await spool.accept([command(name) for name in names])).known == names[1:]


@pytest.mark.parametrize("step", [-10 * DAY, 10 * DAY])
async def test_a_stepped_clock_makes_nothing_forgotten_nor_remembered_for_ever(
    spool: Spool, hands: Hands, step: int
) -> None:
    await settle(spool, "a")
    hands.wall += step
    assert await delivered_after_a_sweep(spool) == 1
    hands.pass_(DAY + 1)
    assert await delivered_after_a_sweep(spool) == 0


async def delivered_after_a_sweep(spool: Spool) -> int:
    await spool.sweep()
    return (await spool.counts()).delivered


async def test_after_a_reboot_the_wall_clock_has_to_do(path: Path, hands: Hands) -> None:
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        await settle(spool, "a")
    hands.boot, hands.uptime = "boot-two", 10.0
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert await delivered_after_a_sweep(spool) == 1
    hands.pass_(DAY + 1)
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert await delivered_after_a_sweep(spool) == 0


async def test_the_memory_of_what_was_delivered_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "SLICE_ROWS", 20)
    async with open_spool(path, Limits(4 * MB, output_bytes=1000, journal=10_000)) as spool:
        most = spool._space.plan.kept_rows - 1
        await settle(spool, "refused", "rejected")
        for start_at in range(0, most + 100, 50):
            await accept(spool, *(str(start_at + n) for n in range(50)))
            while claim := spool.claim():
                await spool.finish(claim.command.id, OK)
            await deliver_all(spool)
        await spool.sweep()
        counts = await spool.counts()
        assert (counts.delivered, counts.rejected) == (most, 1), "the refused one stays, though it is the oldest"
        assert (await spool.accept([command("0"), command(str(most + 99))])).new == ("0",)


async def test_the_file_shrinks_after_a_backlog(path: Path) -> None:
    async with open_spool(path, Limits(64 * MB, output_bytes=MB, journal=100)) as spool:
        for n in range(40):
            await start(spool, str(n))
            for _ in range(4):
                await spool.append(str(n), "stdout", "x" * (MB // 4))
            await spool.finish(str(n), OK)
        assert file_bytes(path) + file_bytes(beside(path, "-wal")) > 40 * MB
        full = (await spool.counts()).size_bytes
        assert full < 64 * MB
        assert len(await deliver_all(spool)) == 40
        await spool.sweep()
        assert file_bytes(path) < 2 * MB
        assert (await spool.counts()).size_bytes < 2 * MB + spool._space.plan.ballast_bytes


async def test_a_long_open_reader_stops_intake_rather_than_letting_the_log_grow(path: Path) -> None:
    async with open_spool(path, Limits(16 * MB, output_bytes=MB, journal=100)) as spool:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select * from status").fetchall()
            n = 0
            while spool.room:
                await start(spool, str(n))
                for _ in range(4):
                    await spool.append(str(n), "stdout", "x" * (MB // 4))
                await spool.finish(str(n), OK)
                await deliver_all(spool)
                await spool.sweep()
                n += 1
                assert n < 100
            counts = await spool.counts()
            assert counts.size_bytes <= counts.capacity_bytes
        await spool.sweep()
        assert spool.room > 0
        assert (await spool.counts()).size_bytes < 6 * MB


async def test_why_it_is_full_is_said_and_shown(path: Path) -> None:
    async with open_spool(path, Limits(16 * MB, output_bytes=MB, journal=100)) as spool:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select * from status").fetchall()
            n = 0
            while spool.room:
                await run(spool, str(n), "x" * MB)
                await deliver_all(spool)
                await spool.sweep()
                n += 1
            because = (await spool.counts()).full_because
            assert "a reader has held the write-ahead log since" in str(because)
            await spool.sweep()
        with open_reader(path) as shown:
            assert next(iter(shown.rows("status", 1)[0])) == "full_because"
            assert "a reader has held" in shown.rows("status", 1)[0]["full_because"]
        await spool.sweep()
        await spool.sweep()
        with open_reader(path) as shown:
            assert shown.rows("status", 1)[0]["full_because"] is None


async def test_long_arguments_of_delivered_commands_go_when_room_is_short(path: Path) -> None:
    """1,055 refused commands with the guard's 16 KiB once filled 32 MiB for a day."""
    async with open_spool(path, Limits(16 * MB, output_bytes=MB, journal=10_000)) as spool:
        refused = Result(Outcome.REFUSED, error="no")
        for n in range(1055):
            await spool.accept([command(str(n), "get", "x" * 16_000)], refused)
            await deliver_all(spool)
            if n % 50 == 0:
                await spool.sweep()
        await spool.sweep()
        assert spool.full_because is None
        assert spool.room > 0
        assert (await spool.accept([command("0", "get", "x" * 16_000)])).known == ("0",)


async def test_kept_output_goes_when_room_is_short(path: Path) -> None:
    async with open_spool(path, Limits(8 * MB, output_bytes=MB, journal=100)) as spool:
        await settle(spool, "early", size=100_000)
        for n in range(3):
            await run(spool, str(n), "x" * 900_000)
        await spool.sweep()
        with open_reader(path) as reader:
            assert reader.show("early")["output"] == "gone"
        assert len(await deliver_all(spool)) == 3


async def test_an_api_that_refuses_everything_doesnt_fill_the_spool(path: Path) -> None:
    async with open_spool(path, Limits(8 * MB, output_bytes=MB // 2, journal=100)) as spool:
        for n in range(40):
            assert spool.room > 0, n
            await settle(spool, str(n), "rejected", size=MB // 2)
            await spool.sweep()
        counts = await spool.counts()
        assert (counts.rejected, counts.delivered) == (40, 0)
        with open_reader(path) as reader:
            assert reader.show("0")["last_error"] == "unknown"
            assert reader.show("0")["output"] == "gone"
            assert reader.show("39")["output"] == "whole"


async def test_a_person_has_rejected_results_sent_again_beside_a_live_agent(spool: Spool, path: Path) -> None:
    for name in "abc":
        await settle(spool, name, "rejected")
    ask(path, "b")
    await spool.sweep()
    assert await text(await take_one(spool)) == "x" * 10
    assert (await spool.counts()).rejected == 2
    ask(path, None)
    beside(path, ".retry-nonsense").write_bytes(b"\xff")
    beside(path, ".retry-half.part").write_text("a")
    await spool.sweep()
    assert [file.suffix for file in requests(path)] == [".part"]
    assert [delivery.command_id for delivery in await take(spool, 5)] == ["a", "c"]
    await spool.sweep()
    assert await take(spool, 5) == []


async def test_a_wish_that_the_disk_refuses_is_granted_later(
    spool: Spool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise SpoolFull("no room")

    await settle(spool, "a", "rejected")
    ask(path, "a")
    with monkeypatch.context() as full:
        full.setattr(journal, "retry", refuse)
        with pytest.raises(SpoolFull):
            await spool.sweep()
    for expected in (["a"], []):
        await spool.sweep()
        assert list(await deliver_all(spool)) == expected


async def test_a_person_has_rejected_results_sent_again_by_the_next_agent(path: Path) -> None:
    async with open_spool(path, LIMITS) as spool:
        for name in "ab":
            await settle(spool, name, "rejected")
    ask(path, "a")
    with pytest.raises(SpoolError, match="no rejected result of command c "):
        ask(path, "c")
    async with open_spool(path, LIMITS) as spool:
        await spool.sweep()
        assert list(await deliver_all(spool)) == ["a"]
        await spool.sweep()
    ask(path, None)
    async with open_spool(path, LIMITS) as spool:
        await spool.sweep()
        assert list(await deliver_all(spool)) == ["b"]
    with pytest.raises(SpoolError, match="no rejected result in"):
        ask(path, None)


def test_asking_without_a_spool_or_a_readable_one(path: Path) -> None:
    with pytest.raises(SpoolError, match="There is no spool at"):
        ask(path, None)
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(SpoolError, match="no spool of this agent"):
        ask(path, None)


async def test_a_request_that_cant_be_left(spool: Spool, path: Path) -> None:
    """Nobody may not even read the spool; the agent's own user may, and not write beside it."""
    await settle(spool, "a", "rejected")
    path.parent.chmod(0o555)
    try:
        with pytest.raises(SpoolError, match=r"can't be (read|asked).*un this as .* user"), as_nobody():
            ask(path, None)
    finally:
        path.parent.chmod(0o755)  # or the folder could be removed by root alone


def test_a_folder_that_may_not_be_written(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave_a_rejected_result() -> None:
        async with open_spool(path, LIMITS) as spool:
            await settle(spool, "a", "rejected")

    trio.run(leave_a_rejected_result)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(SpoolError, match=r"can't be asked: .* can't be written .*Run this as the agent's user"):
        ask(path, "a")


async def test_root_asks_and_the_agent_is_somebody_else(spool: Spool, path: Path) -> None:
    await settle(spool, "a", "rejected")
    await spool.sweep()  # nobody may not read what Python imports at the first time
    path.parent.chmod(0o777)
    before = os.umask(0o077)
    try:
        ask(path, "a")
    finally:
        os.umask(before)
    with as_nobody():
        await spool.sweep()
    assert requests(path) == []
    assert spool.pending == 1


async def test_a_request_that_cant_be_removed_would_come_true_again_and_again(
    spool: Spool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    await settle(spool, "a", "rejected")
    ask(path, "a")
    await spool.sweep()
    assert await take(spool, 1) == []
    assert len(requests(path)) == 1


def requests(path: Path) -> list[Path]:
    return list(path.parent.glob("*.retry*"))


@contextmanager
def as_nobody() -> Iterator[None]:
    """File access as another user, where only root would be refused nothing."""
    us = os.geteuid()
    os.seteuid(us or 65534)
    try:
        yield
    finally:
        os.seteuid(us)


async def test_counting_is_cheap_with_much_to_remember(spool: Spool) -> None:
    plan = await spool._writer.run(
        Need.OUTSIDE,
        lambda db: db.execute("explain query plan select count(*) from commands where state = 'spooled'").fetchall(),
    )
    assert "COVERING INDEX by_state" in plan[0][3]


async def test_what_readiness_depends_on_is_a_real_write(path: Path) -> None:
    async with open_spool(path, LIMITS) as spool:
        await spool.try_write()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("select count(*) from meta where key = 'checked_at'").fetchone() == (1,)
    with pytest.raises(SpoolError, match="closed"):
        await spool.try_write()
