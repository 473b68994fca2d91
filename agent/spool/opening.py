"""From a path to a connection: looked at first, made if missing, put right if damaged."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from agent.errors import SpoolError, SpoolTooNew
from agent.spool.failure import is_damage, translate
from agent.spool.lock import SpoolLock, is_marked
from agent.spool.maintenance import BUSY_MS
from agent.spool.salvage import move_aside, salvage
from agent.spool.schema import KNOWN, SET, UNRELEASED, migrations
from agent.spool.space import PAGE_BYTES, Plan, beside, file_bytes
from agent.spool.values import Recovery

_HEAD = b"SQLite format 3\0"
_EMPTY = "the file is empty"
_NO_TABLES = "its tables are gone, as when the write-ahead log was deleted"
_NO_LOG = (
    "the agent died with it open, and its write-ahead log is gone since: unless somebody opened it with sqlite3 "
    "without -readonly, the last commands and results are lost"
)
_UNTOUCHED = "It wasn't touched. Set KUBENTLY_SPOOL_PATH to a path of the agent's own."


def refuse_foreign(path: Path) -> None:
    """A file that isn't a spool is somebody's own, and stays as it is. One that is broken is ours if our mark is there.

    Raises:
        SpoolError: it isn't ours, and says what it is; or it can't be read.
    """
    try:
        if not path.exists():
            return
        if not path.is_file():
            what = "a folder" if path.is_dir() else "a device or a pipe"
            raise SpoolError(f"{path} is {what}, not a spool.", _UNTOUCHED)
        with path.open("rb") as file:
            head = file.read(len(_HEAD))
    except OSError as error:
        raise SpoolError(
            f"The spool {path} can't be read ({error.strerror}).",
            f"Give it to user {os.geteuid()}, or set KUBENTLY_SPOOL_PATH to another path.",
        ) from error
    if head != _HEAD and not is_marked(path):
        what = "no SQLite database" if head else "empty"
        raise SpoolError(f"{path} is {what}, and no spool of this agent.", _UNTOUCHED)


def open_database(path: Path, plan: Plan, lock: SpoolLock, report: Recovery) -> sqlite3.Connection:
    """Open the spool at `path`, whose lock is held. Slow for a large file: all of it is checked. What had to be done
    for it goes into the report.

    Raises:
        SpoolTooNew: it is of a later version; it wasn't touched.
        SpoolError: it can't be opened.
        sqlite3.Error: SQLite can't work with it.
    """
    try:
        log_is_gone = lock.was_open and path.exists() and not beside(path, "-wal").exists()
        report.damage = look(path, ours=lock.is_marked, thorough=lock.was_suspect)  # begins a new log
        if report.damage is not None:
            salvage(path, _create(path), plan.soft_pages, report)
            beside(path, ".making").rename(beside(path, ".new"))
            report.moved_aside = move_aside(path)
        elif log_is_gone:
            report.damage = _NO_LOG
        if not path.exists():
            _begin(path)
        return connect(path, plan)
    except OSError as error:
        raise SpoolError(
            f"The spool {path} can't be opened ({error.strerror}).",
            f"Give it to user {os.geteuid()}, or set KUBENTLY_SPOOL_PATH to another path.",
        ) from error


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
        return _EMPTY
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            if not _is_spool(path, db, ours=ours):
                return _NO_TABLES
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
    names = []
    if "_sqlite_migrations" in tables:
        names = db.execute("select migration_set, name from _sqlite_migrations").fetchall()
    if UNRELEASED in {owner for owner, _ in names}:
        raise SpoolError(
            f"The spool {path} was written by a version of the agent before 0.1.0.",
            "It wasn't touched. Let that version deliver what is in it, or set KUBENTLY_SPOOL_PATH to another path.",
        )
    known = {name for owner, name in names if owner == SET}
    if not known:
        raise SpoolError(f"{path} is a database, but not a spool of this agent.", _UNTOUCHED)
    if later := known - KNOWN:
        raise SpoolTooNew(
            f"The spool {path} was written by a later version of the agent (it has {', '.join(sorted(later))}).",
            "It wasn't touched. Run that version again, or set KUBENTLY_SPOOL_PATH to another path.",
        )
    return True


def _begin(path: Path) -> None:
    """Put a database at `path` in one step: the one that salvage has left complete, or an empty one."""
    if beside(path, "-wal").exists() or beside(path, "-shm").exists():
        move_aside(path)  # of a database that somebody took away; they must not meet another
    ready = beside(path, ".new")
    if not ready.exists():
        ready = _create(path)
    ready.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _create(path: Path) -> Path:
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
    try:
        with tempfile.TemporaryDirectory(prefix=".spool-check-", dir=folder) as inside:
            path = Path(inside) / "check.db"
            try:
                with closing(connect(path, Plan.of(1 << 22))) as db:
                    db.execute("insert into meta values ('checked', '1')")
            except sqlite3.Error as error:
                raise translate(error, folder / path.name) from error
    except OSError as error:
        raise SpoolError(
            f"The spool's folder {folder} can't be written ({error.strerror}).",
            f"Give it to user {os.geteuid()}, or set KUBENTLY_SPOOL_PATH to a folder that is writable.",
        ) from error
