"""From a path to a connection: looked at first, made if missing."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from agent.errors import SpoolError, SpoolTooNew
from agent.spool.failure import is_damage, said, translate
from agent.spool.lock import read_mark
from agent.spool.maintenance import BUSY_MS
from agent.spool.schema import KNOWN, SET, migrations
from agent.spool.space import PAGE_BYTES, Plan, beside, file_bytes

_HEAD = b"SQLite format 3\0"
_UNTOUCHED = "It wasn't touched. Set KUBENTLY_SPOOL_PATH to a path of the agent's own."


def refuse_foreign(path: Path) -> None:
    """A file that isn't a spool is somebody's own, and stays as it is. One that is broken is ours if our mark is there.

    Raises:
        SpoolError: it isn't ours, and says what it is; or it can't be read.
    """
    with said(f"The spool {path} can't be read"):
        if not path.exists():
            return
        if not path.is_file():
            what = "a folder" if path.is_dir() else "a device or a pipe"
            raise SpoolError(f"{path} is {what}, not a spool.", _UNTOUCHED)
        with path.open("rb") as file:
            head = file.read(len(_HEAD))
    if head != _HEAD and not read_mark(path):
        what = "no SQLite database" if head else "empty"
        raise SpoolError(f"{path} is {what}, and no spool of this agent.", _UNTOUCHED)


def look(path: Path, *, ours: bool = True, thorough: bool = False) -> str | None:
    """What is wrong with the file, None if nothing. It is opened for reading only.

    `thorough` compares the indexes with their tables too, which takes several times as long. `ours`: the mark of an
    agent is beside it.

    Raises:
        SpoolError: it is a database, but no spool, or one of another version.
    """
    if not path.exists():
        return None
    with path.open("r+b"):  # says best why not
        pass
    if file_bytes(path) == 0:
        return "the file is empty"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            if not _is_spool(path, db, ours=ours):
                return "its tables are gone, as when the write-ahead log was deleted"
            (verdict,) = db.execute(f"pragma {'integrity' if thorough else 'quick'}_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return str(error)
        raise
    return None if verdict == "ok" else str(verdict).splitlines()[-1]  # the first may say which database it is


def _is_spool(path: Path, db: sqlite3.Connection, *, ours: bool) -> bool:
    """Whether it has a spool's tables of this version or an earlier one. False if it has none at all, and was ours."""
    tables = {name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")}
    if not tables and ours:
        return False
    known: set[str] = set()
    if "_sqlite_migrations" in tables:
        names = db.execute("select name from _sqlite_migrations where migration_set = ?", (SET,))
        known = {name for (name,) in names}
    if not known:
        raise SpoolError(f"{path} is a database, but not a spool of this agent.", _UNTOUCHED)
    if later := known - KNOWN:
        raise SpoolTooNew(
            f"The spool {path} was written by a later version of the agent (it has {', '.join(sorted(later))}).",
            "It wasn't touched. Run that version again, or set KUBENTLY_SPOOL_PATH to another path.",
        )
    return True


def create(path: Path) -> Path:
    """Make an empty spool beside `path` and return where."""
    making = beside(path, ".making")
    for suffix in ("", "-wal", "-shm"):
        beside(making, suffix).unlink(missing_ok=True)
    os.close(os.open(making, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(making, isolation_level=None)) as db:
        db.execute(f"pragma page_size = {PAGE_BYTES}")
        db.execute("pragma auto_vacuum = incremental")  # only before the first table
        _migrate(db)
    return making


def connect(path: Path, plan: Plan) -> sqlite3.Connection:
    """The one connection that writes. The tables are brought up to date."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
    try:
        for pragma in (
            "journal_mode = wal",
            "synchronous = full",  # survives power loss; 0.1 ms a commit more than `normal`
            "secure_delete = fast",  # what costs nothing is overwritten; `on` writes every deleted output once more
            f"max_page_count = {plan.hard_pages}",
            f"wal_autocheckpoint = {min(1000, plan.wal_bytes // PAGE_BYTES // 2)}",
            f"journal_size_limit = {plan.wal_bytes // 2}",
            "cache_size = -512",  # KiB; the agent's memory is counted
            "temp_store = memory",  # the root file system may be read-only
            "trusted_schema = off",
        ):
            connection.execute(f"pragma {pragma}").fetchall()
        # A damaged text isn't UTF-8 any more: its checksum says so, where an error would say it again and again.
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    migrations.apply(Database(connection, execute_plugins=False, recursive_triggers=False))


def try_volume(folder: Path) -> None:
    """Open a database with a write-ahead log in `folder`, write to it, and remove it again.

    Raises:
        SpoolError: the volume can't hold a spool; the sentence says why.
    """
    with (
        said(f"The spool's folder {folder} can't be written"),
        tempfile.TemporaryDirectory(prefix=".spool-check-", dir=folder) as inside,
    ):
        path = Path(inside) / "check.db"
        try:
            with closing(connect(path, Plan.of(1 << 22))) as db:
                db.execute("insert into meta values ('checked', '1')")
        except sqlite3.Error as error:
            raise translate(error, folder / path.name) from error
