"""Full: the cap, the disk, and disks that fail."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.errors import SpoolError, SpoolFull
from agent.model import Outcome, Result, Stream
from agent.spool import Limits, Spool, open_spool, space
from agent.spool.journal import append
from agent.spool.space import PAGE_BYTES, beside, disk_free
from agent.spool.writer import Need
from tests.tasks.spool.kit import (
    MB,
    OK,
    accept,
    command,
    deliver_all,
    held,
    run,
    run_and_forget,
    start,
    take,
    take_one,
    text,
)


async def test_many_tiny_results_at_the_cap_are_all_delivered(path: Path) -> None:
    """Where recording an attempt fails without headroom."""
    async with open_spool(path, Limits(2 * MB, journal=100_000, output_bytes=1000)) as spool:
        total = 0
        with pytest.raises(SpoolFull):  # noqa: PT012
            while True:
                await spool.accept([command(f"{total + n}", "x" * 900) for n in range(10)])
                total += 10
        assert total > 500
        await spool.sweep()
        while claim := spool.claim():
            await spool.finish(claim.command.id, Result(Outcome.SUCCEEDED, 0))
        while (await spool.counts()).accepted:  # no room for an output each: as results leave, others can run
            assert await deliver_all(spool)
            await spool.sweep()
            while claim := spool.claim():
                await spool.finish(claim.command.id, Result(Outcome.SUCCEEDED, 0))
        await deliver_all(spool)
        counts = await spool.counts()
        assert (counts.pending, len(spool._unrecorded)) == (0, 0)
        assert counts.size_bytes <= counts.capacity_bytes
        await spool.sweep()
        assert spool.room > 0


async def test_a_command_waits_for_the_room_that_delivered_results_leave(path: Path) -> None:
    async with open_spool(path, Limits(4 * MB, journal=100, output_bytes=200_000)) as spool:
        for n in range(100):
            await accept(spool, str(n))
            if spool.claim() is None:
                break
            await spool.finish(str(n), OK, [("stdout", "x" * 150_000)])
        sent = await take(spool, 100)
        async with held(spool):
            for each in sent:
                spool.delivered(each.seq, 200)
            assert spool.claim() is None, "it would have less room than it may need"
        await spool.sweep()
        claim = spool.claim()
        assert claim is not None
        assert claim.output_bytes == 200_000


async def test_at_the_cap_states_still_change(path: Path) -> None:
    async with open_spool(path, Limits(4 * MB, journal=10_000, output_bytes=1000)) as spool:
        for n in range(10):
            await start(spool, str(n))
        for _ in range(1000):  # to the last page
            await spool.append("0", "stdout", "x" * 4000)
        for n in range(10):
            await spool.finish(str(n), OK, [("stdout", "y" * 1000)])
        deliveries = await take(spool, 20)
        assert len(deliveries) == 10
        assert deliveries[0].result.truncated
        assert set(await text(deliveries[0])) == {"x"}
        for delivery in deliveries[1:4]:
            spool.rejected(delivery.seq, 404, "words " * 50)
        for delivery in deliveries[4:7]:
            spool.postponed(delivery.seq, 100, 503, "words " * 50)
        for delivery in deliveries[7:]:
            spool.delivered(delivery.seq, 200)
        await spool.cut(deliveries[0].seq, 10)
        counts = await spool.counts()
        assert (counts.pending, counts.rejected, counts.delivered, len(spool._unrecorded)) == (4, 3, 3, 0)


@pytest.mark.parametrize("missing", [0, 1])
async def test_output_that_finds_no_room_for_a_moment_ends_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    def refuse(db: sqlite3.Connection, seq: int, stream: Stream, part: int, piece: bytes) -> None:
        if part == missing:
            raise full
        append(db, seq, stream, part, piece)

    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    monkeypatch.setattr("agent.spool.journal.append", refuse)
    async with open_spool(path, Limits(32 * MB)) as spool:
        await start(spool, "a")
        for character in "0123456789":
            await spool.append("a", "stdout", character * 1000)
        await spool.finish("a", OK, [("stdout", "end")])
        delivery = await take_one(spool)
        assert delivery.result.truncated
        assert await text(delivery) == "0" * 1000 * missing
        pieces = await spool._writer.run(Need.OUTSIDE, lambda db: db.execute("select count(*) from pieces").fetchone())
        assert pieces[0] == missing


def fail_writes(spool: Spool, *, fail: bool) -> None:
    """A disk on which every commit fails, as when it was remounted read-only."""
    writer = spool._writer
    if not fail:
        del writer._commit
        return

    def broken(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
        raise error

    writer._commit = broken  # type: ignore[method-assign,assignment]  # a fault


async def test_on_a_disk_that_fails_results_still_leave_once(path: Path) -> None:
    async with open_spool(path, Limits(32 * MB, output_bytes=1000, journal=100)) as spool:
        for name in "abcd":
            await run(spool, name, f"output of {name}")
        await start(spool, "e")
        await spool.try_write()
        fail_writes(spool, fail=True)
        with pytest.raises(SpoolFull, match="the disk reports an error"):
            await accept(spool, "f")
        with pytest.raises(SpoolFull):
            await spool.try_write()
        with pytest.raises(SpoolFull):
            await spool.finish("e", OK)
        first, second, third = await take(spool, 3)
        spool.delivered(first.seq, 200)
        spool.rejected(second.seq, 404, "unknown")
        spool.postponed(third.seq, 3600, 503, "busy")
        assert (await take_one(spool)).command_id == "d"
        assert await take(spool, 5) == []
        with pytest.raises(SpoolFull):
            await spool.sweep()
        counts = await spool.counts()
        assert (len(spool._unrecorded), counts.pending) == (2, 2)
        fail_writes(spool, fail=False)
        await spool.sweep()
        await spool.finish("e", OK)
        assert (await take_one(spool)).command_id == "e"
        counts = await spool.counts()
        assert (len(spool._unrecorded), counts.pending, counts.delivered, counts.rejected) == (0, 3, 1, 1)


async def test_a_damaged_result_is_answered_even_if_that_cant_be_written(path: Path) -> None:
    async with open_spool(path, Limits(32 * MB, output_bytes=1000, journal=100)) as spool:
        await run_and_forget(spool, "a", "text")
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("update pieces set text = 'other'")
        fail_writes(spool, fail=True)
        assert (await take_one(spool)).result.outcome is Outcome.DAMAGED


async def test_a_disk_that_stays_full_without_its_ballast(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_spool(path, Limits(32 * MB, output_bytes=1000, journal=100)) as spool:
        await start(spool, "a")
        monkeypatch.setattr("agent.spool.space.disk_free", lambda _: 0)
        fail_writes(spool, fail=True)
        with pytest.raises(SpoolFull):
            await spool.finish("a", OK)
        assert not beside(path, ".ballast").exists()
        fail_writes(spool, fail=False)
        await spool.finish("a", OK)


async def test_a_spool_that_breaks_says_so(path: Path) -> None:
    async with open_spool(path, Limits(32 * MB, output_bytes=1000, journal=100)) as spool:
        await accept(spool, "a")

        def gone(db: sqlite3.Connection) -> None:
            db.execute("select * from missing")

        with pytest.raises(SpoolError, match="can't be used: no such table: missing") as caught:
            await spool._writer.run(Need.OUTSIDE, gone)
        assert not isinstance(caught.value, SpoolFull)
        with pytest.raises(SpoolError, match="no such table: missing"):
            await spool.sweep()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_small_disk_takes_what_fits_and_loses_none(small_disk: Path) -> None:
    """500 results of 200 KB against an API that is closed, then open."""
    path = small_disk / "spool.db"
    async with open_spool(path, Limits(256 * MB, journal=8)) as spool:
        arrived: set[str] = set()
        n = 0
        while n < 500:
            while n < 500 and spool.room:
                await run(spool, str(n), f"{n}" + "x" * 200_000)
                n += 1
            assert disk_free(small_disk) > 256 * 1024
            arrived |= set(await deliver_all(spool))
            await spool.sweep()
        arrived |= set(await deliver_all(spool))
        assert arrived == {str(n) for n in range(500)}
        assert len(spool._unrecorded) == 0


async def test_a_disk_that_others_fill_is_survived_with_the_ballast(small_disk: Path) -> None:
    path = small_disk / "spool.db"
    async with open_spool(path, Limits(8 * MB, journal=100, output_bytes=100_000)) as spool:
        for n in range(20):
            await run(spool, str(n), f"{n}" + "x" * 50_000)
        fill_up(small_disk / "somebody-elses")
        assert beside(path, ".ballast").exists()
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select * from status").fetchall()  # now the log has to grow
            for _ in range(200):
                if not beside(path, ".ballast").exists():
                    break
                for delivery in await take(spool, 20):
                    spool.postponed(delivery.seq, 0, 503, "busy")
            assert not beside(path, ".ballast").exists()
        assert len(await deliver_all(spool)) == 20
        assert len(spool._unrecorded) == 0
        assert spool.room == 0
    fill_up(small_disk / "more")
    (small_disk / "somebody-elses").unlink()
    async with open_spool(path, Limits(8 * MB, journal=100, output_bytes=100_000)) as spool:
        assert (await spool.counts()).delivered == 20
        await spool.sweep()
        assert beside(path, ".ballast").exists()
        assert spool.room > 0


async def test_an_agent_starts_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "spool.db"
    async with open_spool(path, Limits(8 * MB, journal=100, output_bytes=100_000)) as spool:
        for n in range(20):
            await run(spool, str(n), f"{n}" + "x" * 50_000)
    fill_up(small_disk / "somebody-elses")
    async with open_spool(path, Limits(8 * MB, journal=100, output_bytes=100_000)) as spool:
        assert spool.room == 0
        assert len(await deliver_all(spool)) == 20


def fill_up(file: Path) -> None:
    with file.open("wb", buffering=0) as out:
        size = 1024 * 1024
        while size >= 4096:
            try:
                if out.write(bytes(size)) < size:
                    size //= 2
            except OSError:
                size //= 2


CHILD = """
import json, resource, sys, trio
from pathlib import Path
from agent.errors import SpoolFull
from agent.model import Command, Outcome, Result
from agent.spool import Limits, open_spool

async def main():
    async with open_spool(Path(sys.argv[1]), Limits(64 * 2**20, journal=1000, output_bytes=100_000)) as spool:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, hard))
        done = n = 0
        try:
            while True:
                await spool.accept([Command(str(n), ("get",))])
                spool.claim()
                await spool.finish(str(n), Result(Outcome.SUCCEEDED, 0), [("stdout", f"{n}" * 20_000)])
                n += 1
        except SpoolFull as error:
            words = str(error)
        sent = []
        while delivery := await spool.take():
            sent.append(delivery.command_id)
            spool.delivered(delivery.seq, 200)
        unrecorded = len(spool._unrecorded)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await spool.sweep()
        again = [delivery.command_id for _ in range(5) if (delivery := await spool.take())]
        print(json.dumps([n, sent, unrecorded, again, len(spool._unrecorded), words]))

trio.run(main)
"""


def test_files_that_may_not_grow(path: Path) -> None:
    child = subprocess.run([sys.executable, "-c", CHILD, str(path)], check=True, capture_output=True, text=True)
    finished, sent, _, again, unrecorded, words = json.loads(child.stdout)
    assert finished > 3
    assert sent == [str(n) for n in range(finished)]
    assert (again, unrecorded) == ([], 0)
    assert "can't be written now" in words


SMALL = Limits(max_bytes=32 * MB, output_bytes=64 * 1024, journal=2000)


async def test_what_was_delivered_isnt_forgotten_for_a_disk_that_is_full(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent started while something else fills its disk. An id that is forgotten would run again."""
    names = [f"c{n}" for n in range(600)]
    async with open_spool(path, SMALL) as spool:
        for name in names:
            await run(spool, name)
        await deliver_all(spool)
    monkeypatch.setattr(space, "disk_free", lambda _: 100 * PAGE_BYTES)
    async with open_spool(path, SMALL) as spool:
        await spool.sweep()
        await spool.sweep()
        await accept(spool, *names)
        assert spool.claim() is None
        assert (await spool.counts()).accepted == 0


async def test_room_that_others_give_back_is_used_without_a_restart(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 4 * MB
    monkeypatch.setattr(space, "disk_free", lambda _: free)
    async with open_spool(path, SMALL) as spool:
        small = (await spool.counts()).capacity_bytes
        free = 500 * MB
        await spool.sweep()
        assert small < 8 * MB < (await spool.counts()).capacity_bytes == SMALL.max_bytes
        free = 1 * MB
        await spool.sweep()
        assert (await spool.counts()).capacity_bytes == SMALL.max_bytes, "what is full now is seen elsewhere"
