"""What people see: beside a live agent, after it died, from a copy, and without the right to write."""

# nothing else runs on these loops

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.model import Outcome, Result
from agent.spool import Spool, open_spool
from agent.spool.reader import open_reader
from agent.spool.space import beside
from tests.tasks.spool.kit import LIMITS, Hands, accept, run, snapshot, start, take_one

NOBODY = 65534
MEMORY = Path("/dev/shm")


async def fill(spool: Spool, hands: Hands) -> None:
    await run(spool, "delivered", "all is well\n")
    spool.delivered((await take_one(spool)).seq, 200)
    await run(spool, "rejected", "unwanted\n")
    spool.rejected((await take_one(spool)).seq, 404, "unknown command")
    hands.pass_(65)
    await run(spool, "failed", "x" * 300_000, "it broke\n", Result(Outcome.FAILED, 1, execution_time_ms=900))
    spool.postponed((await take_one(spool)).seq, 10, 503, "busy")
    await start(spool, "running")
    await spool.append("running", "stdout", "so far")
    await accept(spool, "accepted")


def check(path: Path) -> None:
    with open_reader(path) as reader:
        status = reader.rows("status", 1)[0]
        assert (status["waiting_to_run"], status["running"], status["waiting_to_be_sent"]) == (1, 1, 1)
        assert (status["rejected"], status["delivered"], status["last_trouble"]) == (1, 1, "busy")
        assert status["oldest_waiting_since_at"] == "2027-01-15T08:01:05Z"
        assert [row["command_id"] for row in reader.rows("recent", 2)] == ["accepted", "running"]
        (waiting,) = reader.rows("backlog", 10)
        assert (waiting["command_id"], waiting["command"], waiting["attempts"]) == ("failed", "get pods failed", 1)
        assert (waiting["last_http_status"], waiting["last_error"]) == (503, "busy")
        shown = reader.show("failed")
        assert (shown["outcome"], shown["exit_code"], shown["state"]) == ("failed", 1, "spooled")
        assert shown["finished_at"] == "2027-01-15T08:01:05Z"
        assert shown["output"] == "whole"
        assert [len(piece) for piece in reader.pieces("failed", "stdout")] == [256 * 1024, 300_000 - 256 * 1024]
        assert list(reader.pieces("failed", "stderr")) == ["it broke\n"]
        running = reader.show("running")
        assert (running["outcome"], list(reader.pieces("running", "stdout"))) == (None, ["so far"])


async def test_beside_a_live_agent(spool: Spool, path: Path, hands: Hands) -> None:
    await fill(spool, hands)
    check(path)
    await accept(spool, "the agent goes on")


async def test_after_it_died_and_after_it_stopped(path: Path, hands: Hands, folder: Path) -> None:
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        await fill(spool, hands)
        check(snapshot(path, folder / "killed"))
    before = path.read_bytes()
    check(path)
    assert path.read_bytes() == before
    shutil.copyfile(path, folder / "copy.db")
    check(folder / "copy.db")


@contextmanager
def somebody_else() -> Iterator[None]:
    """A user who may read but not write. Root becomes nobody; anybody else is kept out by the folder's mode."""
    temporary = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.exists() else None))
    temporary.chmod(0o777)
    tempfile.tempdir = str(temporary)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        tempfile.tempdir = None
        assert list(temporary.iterdir()) == []
        temporary.rmdir()


@pytest.mark.parametrize("alive", [True, False])
async def test_for_a_user_who_may_not_write(path: Path, hands: Hands, *, alive: bool) -> None:
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        await fill(spool, hands)
        if alive:
            for suffix in ("", "-wal", "-shm"):
                beside(path, suffix).chmod(0o444)
            path.parent.chmod(0o555)
            with somebody_else():
                check(path)
            path.parent.chmod(0o700)
    if not alive:
        path.chmod(0o444)
        path.parent.chmod(0o555)
        names = sorted(file.name for file in path.parent.iterdir())
        with somebody_else():
            check(path)
        assert sorted(file.name for file in path.parent.iterdir()) == names
        path.parent.chmod(0o700)


async def test_with_the_log_but_without_its_index(path: Path, hands: Hands, folder: Path) -> None:
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        await fill(spool, hands)
        copy = snapshot(path, folder / "killed")
    for file in copy.parent.iterdir():
        file.chmod(0o444)
    copy.parent.chmod(0o555)
    folder.chmod(0o755)
    with somebody_else(), pytest.raises(SpoolError, match="Run this as the agent's user"), open_reader(copy):
        raise AssertionError
    copy.parent.chmod(0o700)


async def test_ids_are_found_by_their_beginning(spool: Spool, path: Path) -> None:
    await accept(spool, "ab", "abc", "abd\U0001f600", "b")
    with open_reader(path) as reader:
        assert reader.ids("ab", 10) == ["ab", "abc", "abd\U0001f600"]
        assert reader.ids("ab", 1) == ["ab"]
        assert reader.ids("x", 10) == []
    with pytest.raises(BrokenPipeError), open_reader(path):  # who reads what is printed has had enough
        raise BrokenPipeError


async def test_export_is_one_file_with_everything(spool: Spool, path: Path, hands: Hands, folder: Path) -> None:
    await fill(spool, hands)
    with open_reader(path) as reader:
        reader.export(folder / "export.db")
        with pytest.raises(SpoolError, match="exists already"):
            reader.export(folder / "export.db")
        with pytest.raises(SpoolError, match=r"can't be written: .*No such file"):
            reader.export(folder / "missing" / "export.db")
    check(folder / "export.db")
    assert not beside(folder / "export.db", "-wal").exists()


async def test_what_isnt_there(path: Path, spool: Spool, folder: Path) -> None:
    with pytest.raises(SpoolError, match="There is no spool at"), open_reader(folder / "other.db"):
        raise AssertionError
    with pytest.raises(SpoolError, match="is a folder, not a spool"), open_reader(folder):
        raise AssertionError
    (folder / "text").write_text("no database " * 100)
    with pytest.raises(SpoolError, match="no SQLite database, and no spool"), open_reader(folder / "text"):
        raise AssertionError
    with closing(sqlite3.connect(folder / "photos.db")) as db:
        db.execute("create table photos (x)")
    with pytest.raises(SpoolError, match=r"is a database, but not a .*Name"), open_reader(folder / "photos.db"):
        raise AssertionError
    (folder / "empty").touch()
    with pytest.raises(SpoolError, match="is empty, and no spool"), open_reader(folder / "empty"):
        raise AssertionError
    with open_reader(path) as reader, pytest.raises(SpoolError, match="Command nope isn't in the spool"):
        reader.show("nope")
    with pytest.raises(SpoolError, match="read-only"), open_reader(path) as reader:
        reader._db.execute("drop view status")


async def test_what_moves_too_slowly_is_in_the_view_stuck(path: Path) -> None:
    hands = Hands(wall=1_700_000_000.0)  # long ago for the views, whose clock is SQLite's
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        await fill(spool, hands)
    with open_reader(path) as reader:
        why = {row["command_id"]: row["why"] for row in reader.rows("stuck", 10)}
        slow = reader.rows("slow", 1)[0]
    assert why.keys() == {"running", "accepted", "rejected"}
    assert why["rejected"] == "refused by the API with status 404: unknown command"
    assert why["running"].endswith(" s, run 1")
    assert why["accepted"].startswith("waits to run since ")
    assert (slow["command_id"], slow["execution_time_ms"], slow["waited_to_run_ms"]) == ("failed", 900, 0)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs sqlite3")
async def test_the_prompt_shows_text_and_times(spool: Spool, path: Path, hands: Hands) -> None:
    await fill(spool, hands)

    def ask(query: str) -> list[dict[str, object]]:
        out = subprocess.run(["sqlite3", "-readonly", "-json", path, query], check=True, capture_output=True)
        found: list[dict[str, object]] = json.loads(out.stdout)
        return found

    assert ask("select text from pieces where stream = 'stderr'") == [{"text": "it broke\n"}]
    assert ask("select command_id, finished_at from backlog") == [
        {"command_id": "failed", "finished_at": "2027-01-15T08:01:05Z"}
    ]
    assert ask("select state, count(*) as n from commands group by state") == [
        {"state": "accepted", "n": 1},
        {"state": "delivered", "n": 1},
        {"state": "rejected", "n": 1},
        {"state": "running", "n": 1},
        {"state": "spooled", "n": 1},
    ]


async def test_a_log_that_cant_be_opened(path: Path) -> None:
    async with open_spool(path, LIMITS):
        pass
    beside(path, "-wal").mkdir()
    with pytest.raises(SpoolError, match="a file next to it can't be opened"), open_reader(path):
        raise AssertionError
