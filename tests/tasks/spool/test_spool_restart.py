"""What a killed agent leaves behind, and what the next one makes of it."""

# nothing else runs on these loops

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.model import Outcome
from agent.spool import Spool, open_spool
from agent.spool.failure import Broken
from agent.spool.opening import try_volume
from agent.spool.space import beside
from agent.spool.writer import Need
from tests.tasks.spool.kit import (
    LIMITS,
    OK,
    Hands,
    accept,
    command,
    deliver_all,
    run,
    snapshot,
    start,
    take,
    take_one,
    text,
)


@asynccontextmanager
async def killed(path: Path, hands: Hands) -> AsyncIterator[Spool]:
    """An agent that is killed at the end of the block: its files are as they were then."""
    async with open_spool(path, LIMITS, clock=hands.clock, inline=True) as spool:
        yield spool
        files = snapshot(path, path.parent / "killed")
    path.unlink()
    for file in files.parent.iterdir():
        shutil.move(file, path.parent / file.name)
    files.parent.rmdir()


async def test_unfinished_commands_run_again(path: Path, hands: Hands) -> None:
    async with killed(path, hands) as spool:
        await start(spool, "running")
        await spool.append("running", "stdout", "of a run that didn't end")
        await run(spool, "spooled", "out")
        await accept(spool, "accepted")
    hands.pass_(299)
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert (spool.recovery.rerun, spool.recovery.interrupted, spool.recovery.gave_up) == (2, 0, 0)
        claims = [spool.claim(), spool.claim()]
        assert [claim and claim.command for claim in claims] == [command("running"), command("accepted")]
        await spool.append("running", "stdout", "of the second run")
        await spool.finish("running", OK)
        await spool.finish("accepted", OK)
        arrived = await deliver_all(spool)
    assert arrived == {"running": "of the second run", "spooled": "out", "accepted": ""}


async def test_old_commands_are_answered_instead(path: Path, hands: Hands) -> None:
    async with killed(path, hands) as spool:
        await start(spool, "running")
        await spool.append("running", "stdout", "partial")
        await accept(spool, "accepted")
    hands.pass_(300)
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert (spool.recovery.rerun, spool.recovery.interrupted) == (0, 2)
        assert spool.claim() is None
        deliveries = await take(spool, 5)
        assert [(d.command_id, d.result.outcome) for d in deliveries] == [
            ("running", Outcome.INTERRUPTED),
            ("accepted", Outcome.INTERRUPTED),
        ]
        assert "300 s after" in str(deliveries[0].result.error)
        assert await text(deliveries[0]) == ""


async def test_a_command_that_killed_the_agent_twice_isnt_run_a_third_time(path: Path, hands: Hands) -> None:
    async with killed(path, hands) as spool:
        await start(spool, "deadly")
        await accept(spool, "harmless")
    async with killed(path, hands) as spool:
        claim = spool.claim()
        assert claim is not None
        assert claim.command.id == "deadly"
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert (spool.recovery.gave_up, spool.recovery.rerun) == (1, 1)
        claim = spool.claim()
        assert claim is not None
        assert claim.command.id == "harmless"
        delivery = await take_one(spool)
        assert (delivery.command_id, delivery.result.outcome) == ("deadly", Outcome.INTERRUPTED)
        assert "died 2 times" in str(delivery.result.error)
        assert "1 given up" in str(await status(path, "last_recovery"))


async def status(path: Path, column: str) -> object:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(f"select {column} from status").fetchone()[0]


@pytest.mark.parametrize("wall", [-1e7, 1e7])
async def test_a_stepped_clock_decides_nothing_within_one_boot(path: Path, hands: Hands, wall: float) -> None:
    async with killed(path, hands) as spool:
        await accept(spool, "a")
    hands.wall += wall
    hands.pass_(10)
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert spool.recovery.rerun == 1


@pytest.mark.parametrize(
    ("wall", "uptime", "rerun"),
    [(60, 30, 1), (-1e7, 30, 1), (400, 30, 0), (60, 400, 0)],
    ids=["young", "wall clock went back", "old", "longer up than the wall clock says"],
)
async def test_after_a_reboot_an_age_is_what_the_clocks_agree_on(
    path: Path, hands: Hands, wall: float, uptime: float, rerun: int
) -> None:
    async with killed(path, hands) as spool:
        await accept(spool, "a")
    hands.wall += wall
    hands.uptime, hands.boot = uptime, "boot-two"
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert spool.recovery.rerun == rerun


async def test_an_attempt_that_was_under_way_is_made_again(path: Path, hands: Hands) -> None:
    async with killed(path, hands) as spool:
        await run(spool, "a", "out")
        await take_one(spool)
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        delivery = await take_one(spool)
        assert (delivery.attempts, await text(delivery)) == (2, "out")


async def test_two_agents_cant_have_one_spool(spool: Spool, path: Path) -> None:
    with pytest.raises(SpoolError, match=r"in use by another process \(kubently-agent, process \d+\)"):
        async with open_spool(path, LIMITS):
            raise AssertionError
    await accept(spool, "a")


async def test_a_later_versions_spool_is_refused_and_left_alone(path: Path) -> None:
    async with open_spool(path, LIMITS):
        pass
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) values ('kubently-agent', 'later', '')"
        )
    before = path.read_bytes()
    with pytest.raises(SpoolError, match="by a later version of the agent \\(it has later\\)"):
        async with open_spool(path, LIMITS):
            raise AssertionError
    assert path.read_bytes() == before


async def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("create table photos (x)")
    before = path.read_bytes()
    with pytest.raises(SpoolError, match="is a database, but not a spool"):
        async with open_spool(path, LIMITS):
            raise AssertionError
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["notes\n", "apiVersion: v1\nkind: Config\n", "a-token", "", "x" * 100_000])
async def test_somebodys_own_file_is_refused_and_never_touched(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(SpoolError, match=r"no spool of this agent\. It wasn't touched"):
        async with open_spool(path, LIMITS):
            raise AssertionError
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_text() == content


async def test_a_database_without_tables_is_somebodys_own(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 3")
    with pytest.raises(SpoolError, match="is a database, but not a spool"):
        async with open_spool(path, LIMITS):
            raise AssertionError


@pytest.mark.parametrize("file", [".lock"])
async def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path, file: str) -> None:
    (tmp_path / "precious").write_text("precious")
    beside(path, file).symlink_to(tmp_path / "precious")
    with pytest.raises(SpoolError, match=r"lock.* can't be opened .*symbolic link"):
        async with open_spool(path, LIMITS):
            raise AssertionError
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_file_that_is_deleted_or_replaced_under_a_live_agent_is_noticed(path: Path, *, replaced: bool) -> None:
    async with open_spool(path, LIMITS) as spool:
        await spool.sweep()
        path.unlink()
        if replaced:
            path.write_bytes(b"another")
        with pytest.raises(SpoolError, match="deleted or replaced while the agent had it open"):
            await spool.sweep()


async def test_a_folder_that_is_deleted_under_a_live_agent_is_noticed(tmp_path: Path) -> None:
    async with open_spool(tmp_path / "deep" / "spool.db", LIMITS) as spool:
        await accept(spool, "a")
        shutil.rmtree(tmp_path / "deep")
        assert spool.full_because is None or "disk" in spool.full_because
        with pytest.raises(SpoolError, match="deleted or replaced"):
            await spool.sweep()


async def test_a_path_that_is_a_folder(path: Path) -> None:
    path.mkdir()
    with pytest.raises(SpoolError, match="is a folder, not a spool"):
        async with open_spool(path, LIMITS):
            raise AssertionError


async def test_a_device_is_never_moved_aside(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(
        SpoolError, match=r"is a device or a pipe, not a spool\. It wasn't touched\. Set KUBENTLY_SPOOL_PATH"
    ):
        async with open_spool(path, LIMITS):
            pass
    assert path.is_fifo()


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("agent.spool.opening.migrations.apply", sqlite3.OperationalError("no way"), "can't be used: no way"),
        ("agent.spool.opening.recover", sqlite3.OperationalError("no way"), "can't be used: no way"),
        ("agent.spool.opening.recover", ValueError("a mistake"), "a mistake"),
        ("agent.spool.opening.recover", Broken("a page is gone"), "is damaged .a page is gone"),
    ],
)
async def test_what_goes_wrong_at_the_start_leaves_nothing_open(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, words: str
) -> None:
    async with open_spool(path, LIMITS):
        pass

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch, pytest.raises((SpoolError, ValueError), match=words):  # noqa: PT012
        patch.setattr(name, fail)
        async with open_spool(path, LIMITS):
            raise AssertionError
    async with open_spool(path, LIMITS) as spool:
        await accept(spool, "a")


async def test_a_log_that_cant_be_opened(path: Path) -> None:
    async with open_spool(path, LIMITS):
        pass
    beside(path, "-wal").mkdir()
    with pytest.raises(SpoolError, match="unable to open database file"):
        async with open_spool(path, LIMITS):
            raise AssertionError


async def test_a_folder_that_cant_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match=r"folder .* can't be made"):
        async with open_spool(tmp_path / "file" / "deep" / "spool.db", LIMITS):
            raise AssertionError


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    async with open_spool(tmp_path / "deep" / "deeper" / "spool.db", LIMITS) as spool:
        await accept(spool, "a")


async def test_a_cap_that_is_too_small_to_be_of_use(path: Path) -> None:
    with pytest.raises(SpoolError, match="needs 2 MiB or more"):
        async with open_spool(path, replace(LIMITS, max_bytes=1024 * 1024)):
            raise AssertionError


async def test_the_file_is_the_owners_alone_and_survives_power_loss(spool: Spool, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert beside(path, "-wal").stat().st_mode & 0o777 == 0o600

    def pragmas(db: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "auto_vacuum", "secure_delete", "journal_size_limit")
        return [db.execute(f"pragma {name}").fetchone()[0] for name in names]

    wal = spool._space.plan.wal_bytes
    assert await spool._writer.run(Need.OUTSIDE, pragmas) == ["wal", 2, 2, 2, wal * 3 // 4]


async def test_an_agent_that_died_while_it_made_the_file(path: Path) -> None:
    beside(path, ".making").write_bytes(b"half")
    async with open_spool(path, LIMITS) as spool:
        assert spool.recovery.damage is None
        await accept(spool, "a")


async def test_a_log_without_its_database_doesnt_meet_a_new_one(path: Path, hands: Hands) -> None:
    async with killed(path, hands) as spool:
        await run(spool, "a")
    path.unlink()
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        assert await take(spool, 5) == []
    assert [file.name.endswith("-wal") for file in path.parent.glob("*.damaged-*")] == [True]


def test_a_volume_without_shared_memory_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMMAP

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("agent.spool.opening.migrations.apply", fail)
    with pytest.raises(SpoolError, match=f"The volume of {path.parent} has no shared memory"):
        try_volume(path.parent)
    assert list(path.parent.iterdir()) == []
