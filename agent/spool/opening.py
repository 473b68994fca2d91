"""From a path to a connection: looked at first, made if missing, put right if damaged."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SpoolError, SpoolTooNew
from agent.spool.failure import is_damage
from agent.spool.light import Database
from agent.spool.lock import SpoolLock
from agent.spool.salvage import Salvaged, move_aside, salvage
from agent.spool.schema import KNOWN, migrations
from agent.spool.space import PAGE_BYTES, Plan, beside, file_bytes
from agent.spool.upkeep import BUSY_MS

_EMPTY = "the file is empty"
_NO_TABLES = "its tables are gone, as when the write-ahead log was deleted"
_NO_LOG = (
    "the agent died with it open, and its write-ahead log is gone since: unless somebody opened it with sqlite3 "
    "without -readonly, the last commands and results are lost"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that is ready, and what had to be done for it."""

    connection: sqlite3.Connection
    damage: str | None = None
    moved_aside: Path | None = None
    salvaged: Salvaged | None = None


def open_database(path: Path, plan: Plan, lock: SpoolLock) -> Opened:
    """Open the spool at `path`, whose lock is held. Slow for a large file: all of it is checked.

    Raises:
        SpoolTooNew: it is of a later version; it wasn't touched.
        SpoolError: it can't be opened.
        sqlite3.Error: SQLite can't work with it.
    """
    try:
        log_is_gone = lock.was_open and path.exists() and not beside(path, "-wal").exists()
        damage = look(path, thorough=lock.was_suspect)  # begins a new log
        moved = salvaged = None
        if damage is None:
            damage = _NO_LOG if log_is_gone else None
        else:
            salvaged = salvage(path, _create(path), plan.soft_pages)
            beside(path, ".making").rename(beside(path, ".new"))
            moved = move_aside(path)
        if not path.exists():
            _begin(path)
        connection = connect(path, plan)
    except OSError as error:
        raise SpoolError(
            f"The spool {path} can't be opened ({error.strerror}). "
            f"Give it to user {os.geteuid()}, or set KUBENTLY_SPOOL_PATH to another path."
        ) from error
    return Opened(connection, damage, moved, salvaged)


def look(path: Path, *, thorough: bool = False) -> str | None:
    """What is wrong with the file, None if nothing. It is opened for reading only.

    `thorough` compares the indexes with their tables too, which takes several times as long.

    Raises:
        SpoolTooNew: it is of a later version.
        SpoolError: it is a database, but not a spool.
    """
    if not path.exists():
        return None
    if not path.is_file() and not path.is_dir():  # a device would be moved aside
        raise SpoolError(f"{path} is no file. It wasn't touched: set KUBENTLY_SPOOL_PATH to a file's path.")
    with path.open("r+b"):  # says best why not
        pass
    if file_bytes(path) == 0:
        return _EMPTY
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            tables = {name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")}
            if "_sqlite_migrations" in tables:
                _refuse_newer(path, db)
            elif tables:
                raise SpoolError(
                    f"{path} is a database, but not a spool of this agent. It wasn't touched: "
                    "set KUBENTLY_SPOOL_PATH to another path."
                )
            (verdict,) = db.execute(f"pragma {'integrity' if thorough else 'quick'}_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return str(error)
        raise
    if not tables:
        return _NO_TABLES
    return None if verdict == "ok" else str(verdict).splitlines()[-1]  # the first may say which database it is


def _refuse_newer(path: Path, db: sqlite3.Connection) -> None:
    names = {name for (name,) in db.execute("select name from _sqlite_migrations where migration_set = 'spool'")}
    if later := names - KNOWN:
        raise SpoolTooNew(
            f"The spool {path} was written by a later version of the agent (it has {', '.join(sorted(later))}). "
            "It wasn't touched: run that version again, or set KUBENTLY_SPOOL_PATH to another path."
        )


def _begin(path: Path) -> None:
    """Put a database at `path` in one step: the one that salvage has left complete, or an empty one."""
    beside(path, ".salvage").unlink(missing_ok=True)
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
        migrations.apply(Database(db, execute_plugins=False, recursive_triggers=False))
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
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        migrations.apply(Database(connection, execute_plugins=False, recursive_triggers=False))
    except BaseException:
        connection.close()
        raise
    return connection
