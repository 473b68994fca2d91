"""Damaged files: moved aside and kept, what can be read brought over, the rest answered with an error."""

# nothing else runs on these loops

import random
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from agent.errors import DamagedResult, SpoolError
from agent.model import Outcome
from agent.spool import Limits, Spool, open_spool
from agent.spool.space import beside
from tests.tasks.spool.kit import (
    MB,
    OK,
    accept,
    command,
    deliver_all,
    make_folder,
    run,
    run_and_forget,
    snapshot,
    start,
    take,
    take_one,
    text,
)

PAGE = 4096
SPOOLED, DELIVERED = 60, 100
ALL = SPOOLED + DELIVERED + 3
LIMITS = Limits(64 * MB, journal=1000, output_bytes=300_000)


def output(n: int) -> str:
    return f"{n}:" + f"line {n} of a result\n" * (50 + n * 137 % 4000)


async def fill(spool: Spool) -> None:
    """Results of many sizes, delivered and not, commands that wait and one that runs."""
    for n in range(DELIVERED):
        await run(spool, f"delivered-{n}", "")
        spool.delivered((await take_one(spool)).seq, 200)
    await run(spool, "gone", "x" * 300_000)
    spool.delivered((await take_one(spool)).seq, 200)
    for n in range(SPOOLED):
        await run(spool, f"spooled-{n}", output(n))
    spool.rejected((await take_one(spool)).seq, 404, "unknown")
    await start(spool, "running")
    await accept(spool, "accepted")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stopped spool and, beside it, one of a killed agent."""
    folder = make_folder(tmp_path_factory.mktemp("filled"))

    async def main() -> None:
        async with open_spool(folder / "spool.db", LIMITS) as spool:
            await fill(spool)
            snapshot(folder / "spool.db", folder / "killed")

    trio.run(main)
    yield folder
    shutil.rmtree(folder)


def lay(filled: Path, path: Path) -> None:
    """The stopped spool, with the mark that it is an agent's."""
    for suffix in ("", ".lock"):
        shutil.copyfile(beside(filled / "spool.db", suffix), beside(path, suffix))


def mark(path: Path) -> None:
    beside(path, ".lock").write_text("kubently-agent, process 1\n")


def freelist(path: Path, seed: int) -> None:
    """The header counts free pages that there aren't: a check finds it, and everything can be read."""
    change(path, 36, (seed + 1).to_bytes(4))


def some_byte(path: Path, seed: int) -> None:
    change(path, random.Random(seed).randrange(PAGE, path.stat().st_size), b"\x5a")


def some_page(path: Path, seed: int) -> None:
    page = random.Random(seed).randrange(1, path.stat().st_size // PAGE)
    change(path, page * PAGE, random.Random(seed).randbytes(PAGE))


def first_page(path: Path, seed: int) -> None:
    change(path, 0, random.Random(seed).randbytes(PAGE))


def header(path: Path, seed: int) -> None:
    change(path, 0, random.Random(seed).randbytes(100))


def truncation(path: Path, seed: int) -> None:
    with path.open("r+b") as file:
        file.truncate(random.Random(seed).randrange(PAGE * 20, path.stat().st_size))


def change(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@asynccontextmanager
async def reopened(path: Path) -> AsyncIterator[Spool]:
    async with open_spool(path, LIMITS) as spool:
        yield spool


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("damage", [some_byte, some_page, truncation, header, first_page])
async def test_nothing_wrong_is_ever_sent(
    filled: Path, path: Path, damage: Callable[[Path, int], None], seed: int
) -> None:
    lay(filled, path)
    damage(path, seed)
    damaged = path.read_bytes()
    async with reopened(path) as spool:
        recovery = spool.recovery
        if recovery.moved_aside:
            assert recovery.moved_aside.read_bytes() == damaged
            assert re.fullmatch(r"spool\.db\.damaged-\d{8}T\d{6}Z", recovery.moved_aside.name)
        whole = errors = 0
        while delivery := await spool.take():
            if delivery.result.outcome is Outcome.DAMAGED:
                errors += 1
            else:
                assert delivery.result == OK
                try:
                    received = await text(delivery)
                except DamagedResult:
                    spool.release(delivery.seq)
                    continue
                assert received == output(int(delivery.command_id.removeprefix("spooled-")))
                whole += 1
            spool.delivered(delivery.seq, 200)
        if damage in {some_byte, some_page}:
            # The rejected one may come back as an error; a page of rows may be lost with the ids in it.
            assert whole + errors >= SPOOLED - 45
            assert whole >= 10
        while claim := spool.claim():
            await spool.finish(claim.command.id, OK)
        await deliver_all(spool)
        await run(spool, "fresh", "still works")
        assert await text(await take_one(spool)) == "still works"


async def test_what_can_be_read_is_brought_over_whole(filled: Path, path: Path) -> None:
    lay(filled, path)
    freelist(path, 1)
    async with reopened(path) as spool:
        assert spool.recovery.moved_aside is not None
        assert (spool.recovery.salvaged, spool.recovery.damaged) == (ALL, 0)
        counts = await spool.counts()
        assert (counts.accepted, counts.pending, counts.rejected) == (2, SPOOLED - 1, 1)
        assert counts.delivered == DELIVERED + 1
        assert spool.recovery.rerun == 2


@pytest.mark.parametrize("misses", [20_000, 2])
async def test_a_page_that_cant_be_read_costs_what_is_in_it(
    filled: Path, path: Path, monkeypatch: pytest.MonkeyPatch, misses: int
) -> None:
    """The first commands. Their results name them; what is behind them is found, or too many keys are tried in vain."""
    monkeypatch.setattr("agent.spool.salvage._MOST_MISSES", misses)
    lay(filled, path)
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("select rootpage from sqlite_schema where name = 'commands'").fetchone()
    page = path.read_bytes()[(root - 1) * PAGE : root * PAGE]
    cell = int.from_bytes(page[12:14])
    first = int.from_bytes(page[cell : cell + 4])
    change(path, (first - 1) * PAGE, bytes(PAGE))
    async with reopened(path) as spool:
        found = spool.recovery
        assert found.salvaged == (ALL if misses > 2 else ALL - 2)
        assert (0 < found.damaged < 60) if misses > 2 else (found.damaged == ALL - 2)


async def test_a_file_in_which_sql_finds_nothing_is_kept_for_people(filled: Path, path: Path) -> None:
    lay(filled, path)
    first_page(path, 1)
    async with reopened(path) as spool:
        assert spool.recovery.moved_aside is not None
        assert spool.recovery.moved_aside.stat().st_size > 0
        assert spool.recovery.salvaged == 0
        await accept(spool, "fresh")


async def test_damage_is_said_in_status(filled: Path, path: Path) -> None:
    lay(filled, path)
    freelist(path, 1)
    async with reopened(path):
        pass
    with closing(sqlite3.connect(path)) as db:
        (said,) = db.execute("select last_damage from status").fetchone()
    assert "163 commands brought over, 0 of them with an error" in said
    assert "the old file is spool.db.damaged-" in said


async def test_lost_rows_are_answered_from_what_else_names_them(filled: Path, path: Path) -> None:
    lay(filled, path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("update commands set args = '[]' where command_id = 'accepted'")
        db.execute("update commands set state = 'delivered' where command_id = 'spooled-1'")
        db.execute("delete from commands where command_id in ('spooled-2', 'delivered-3', 'delivered-8', 'spooled-4')")
        db.execute("update results set command_id = 'delivered-3' where command_id = 'delivered-8'")
        db.execute("update results set command_id = '' where command_id = 'spooled-4'")
        db.execute("delete from results where command_id = 'spooled-5'")
        db.execute("update pieces set text = 'x' where seq = (select seq from results where command_id = 'spooled-6')")
        db.execute("delete from results where command_id = 'delivered-7'")
    freelist(path, 1)
    async with reopened(path) as spool:
        assert spool.recovery.damaged == 6
        outcomes = {}
        while deliveries := await take(spool, 8):
            for delivery in deliveries:
                outcomes[delivery.command_id] = delivery.result.outcome
                spool.delivered(delivery.seq, 200)
        damaged = {name for name, outcome in outcomes.items() if outcome is Outcome.DAMAGED}
        assert damaged == {"accepted", "spooled-2", "spooled-5", "spooled-6"}
        assert "spooled-4" not in outcomes
        known = [command(f"delivered-{n}") for n in (0, 3, 7)]
        assert (await spool.accept(known)).known == ("delivered-0", "delivered-3", "delivered-7")


async def test_a_file_cut_to_nothing(path: Path) -> None:
    path.touch()
    mark(path)
    async with reopened(path) as spool:
        assert spool.recovery.damage == "the file is empty"
        assert spool.recovery.moved_aside is not None
        assert spool.recovery.moved_aside.stat().st_size == 0
        await accept(spool, "a")


async def test_a_file_cut_to_nothing_beside_its_log(filled: Path, path: Path) -> None:
    for file in (filled / "killed").iterdir():
        shutil.copyfile(file, path.parent / file.name)
    path.write_bytes(b"")
    async with reopened(path) as spool:
        aside = spool.recovery.moved_aside
        assert aside is not None
        assert beside(aside, "-wal").exists()
        await accept(spool, "fresh")


@pytest.mark.parametrize("seed", range(4))
async def test_a_damaged_log_costs_what_came_after_but_sends_nothing_wrong(filled: Path, path: Path, seed: int) -> None:
    for file in (filled / "killed").iterdir():
        shutil.copyfile(file, path.parent / file.name)
    log = beside(path, "-wal")
    change(log, random.Random(seed).randrange(32, log.stat().st_size), b"\x5a")
    async with reopened(path) as spool:
        while deliveries := await take(spool, 8):
            for delivery in deliveries:
                name = delivery.command_id
                if delivery.result.outcome is not Outcome.DAMAGED:
                    assert await text(delivery) == output(int(name.removeprefix("spooled-")))
                spool.delivered(delivery.seq, 200)


async def test_an_agent_that_died_while_it_salvaged(filled: Path, path: Path) -> None:
    lay(filled, path)
    freelist(path, 1)
    beside(path, ".making").write_bytes(b"half")
    beside(path, ".new").write_bytes(b"of an earlier attempt")
    async with reopened(path) as spool:
        assert spool.recovery.salvaged == ALL


async def test_an_agent_that_died_after_it_moved_the_file_aside(filled: Path, path: Path) -> None:
    shutil.copyfile(filled / "spool.db", beside(path, ".new"))
    async with reopened(path) as spool:
        assert (await spool.counts()).pending == SPOOLED - 1


async def test_damaged_files_of_one_second_dont_replace_each_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.spool.salvage.time.strftime", lambda *_: "20300101T000000Z")
    for _ in range(3):
        path.write_bytes(b"no database, and too short for one")
        mark(path)
        async with reopened(path):
            pass
    assert sorted(file.name.removeprefix("spool.db.damaged-") for file in path.parent.glob("*.damaged-*")) == [
        "20300101T000000Z",
        "20300101T000000Z-2",
        "20300101T000000Z-3",
    ]


async def test_files_put_aside_count_against_the_cap(path: Path) -> None:
    beside(path, ".damaged-1").write_bytes(bytes(10 * MB))
    async with reopened(path) as spool:
        assert (await spool.counts()).capacity_bytes == 54 * MB


async def test_salvage_takes_what_fits(filled: Path, path: Path) -> None:
    lay(filled, path)
    freelist(path, 1)
    async with open_spool(path, Limits(4 * MB, journal=1000, output_bytes=1000)) as spool:
        counts = await spool.counts()
        assert counts.size_bytes <= 5 * MB
        assert spool.recovery.salvaged == ALL
        assert spool.recovery.damaged > 5


@pytest.mark.parametrize("size", [300, 40_000])  # read at once, and piece by piece
@pytest.mark.parametrize("column", ["stdout_bytes", "stdout_json_bytes", "stderr_bytes", "stderr_json_bytes"])
@pytest.mark.parametrize("change", ["1", "-1", "40_000", "-40_000"])
async def test_a_damaged_size_is_answered_as_damaged(path: Path, column: str, change: str, size: int) -> None:
    """It would make a Content-Length that the body doesn't have."""
    async with reopened(path) as spool:
        await run(spool, "a", "x" * size, "some words")
    alter(path, f"update results set {column} = {column} + ({change.replace('_', '')})")
    async with reopened(path) as spool:
        delivery = await take_one(spool)
        assert delivery.result.outcome is Outcome.DAMAGED
        assert delivery.json_bytes("stdout") + delivery.json_bytes("stderr") == 0
        spool.delivered(delivery.seq, 200)
        assert await take(spool, 1) == []
        assert (await spool.counts()).pending == 0


@pytest.mark.parametrize("column", ["correlation_id", "session_id"])
async def test_damaged_tracing_ids_are_never_sent(path: Path, column: str) -> None:
    """They travel in headers, and not everything may stand there."""
    async with reopened(path) as spool:
        await run(spool, "a", "whole")
    alter(path, f"update commands set {column} = char(10) || {column}")
    async with reopened(path) as spool:
        delivery = await take_one(spool)
        assert (delivery.correlation_id, delivery.session_id) == (None, None)
        assert delivery.result.outcome is Outcome.DAMAGED
        spool.release(delivery.seq)
        again = await take_one(spool)
        assert again == replace(delivery, executed_at=again.executed_at, whole=True), "stored like that"


@pytest.mark.parametrize("started", [-1, 9_000_000_000_000_000_000])
async def test_of_a_start_that_is_no_time_the_end_is_told(path: Path, started: int) -> None:
    async with reopened(path) as spool:
        await run(spool, "a")
    alter(path, f"update commands set started_unix_ms = {started}")
    async with reopened(path) as spool:
        executed_at = (await take_one(spool)).executed_at
        assert executed_at is not None
        assert 1e9 < executed_at < 1e10


def without_an_index(path: Path) -> None:
    """As if the index of states had missed what changed last: a look at the tables alone finds nothing."""
    with closing(sqlite3.connect(path)) as db:
        for statement in (
            "pragma writable_schema = on",
            "create table hidden as select * from sqlite_schema where name = 'by_state'",
            "delete from sqlite_schema where name = 'by_state'",
            "pragma writable_schema = reset",
            "delete from commands where command_id = 'b'",
            "pragma writable_schema = on",
            "insert into sqlite_schema select * from hidden",
            "pragma writable_schema = reset",
            "drop table hidden",
        ):
            db.execute(statement).fetchall()
            db.commit()
        assert db.execute("pragma quick_check").fetchone() == ("ok",)


async def test_damage_of_an_index_alone_is_found_and_mended(path: Path) -> None:
    async with reopened(path) as spool:
        for name in "abc":
            await run(spool, name, name)
    without_an_index(path)
    async with reopened(path) as spool:
        assert "by_state" in str(spool.recovery.damage)
        assert spool.recovery.moved_aside is not None
        arrived = await deliver_all(spool)
        assert (arrived["a"], arrived["c"]) == ("a", "c")
    async with reopened(path) as spool:
        assert spool.recovery.damage is None


async def test_damage_that_shows_at_work_ends_the_agent(path: Path) -> None:
    async with reopened(path) as spool:
        await run_and_forget(spool, "a")
        alter(path, "delete from commands")
        with pytest.raises(SpoolError, match=r"is damaged \(.*Start the agent again: it moves the file aside"):
            await take(spool, 1)


async def test_a_delivered_result_that_was_damaged_since_stays_as_it_was(path: Path) -> None:
    async with reopened(path) as spool:
        await run(spool, "a", "x" * 300)
        spool.delivered((await take_one(spool)).seq, 200)
    alter(path, "update pieces set text = replace(text, 'x', 'y')")
    async with reopened(path) as spool:
        assert (await spool.accept([command("a")])).known == ("a",)
        assert await take(spool, 1) == [], "the API has it, and an error would be a second result"
        assert (await spool.counts()).delivered == 1


async def test_text_that_is_no_text_any_more(path: Path) -> None:
    """SQLite gives it as it is, and Python's own decoding would fail each time."""
    async with reopened(path) as spool:
        await run(spool, "a", "x" * 300)
        await start(spool, "b")
    alter(path, "update pieces set text = cast(x'78ff78' as text)")
    alter(path, "update commands set args = cast(x'5bff5d' as text), state = 'accepted' where command_id = 'b'")
    async with reopened(path) as spool:
        assert (await take_one(spool)).result.outcome is Outcome.DAMAGED
        assert spool.claim() is None
        assert (await take_one(spool)).result.outcome is Outcome.DAMAGED


async def test_a_command_that_a_person_let_run_again(path: Path) -> None:
    """By changing its state with sqlite3: the result that it has already is in the way."""
    async with reopened(path) as spool:
        await run(spool, "a", "x" * 300_000)
    alter(path, "update commands set state = 'accepted'")
    async with reopened(path) as spool:
        assert spool.claim() is not None
        await spool.finish("a", OK, [("stdout", "once more")])
        assert await deliver_all(spool) == {"a": "once more"}


def alter(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
