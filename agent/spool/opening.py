"""Opens a spool: takes the lock, checks the file, recovers what was under way; and closes it again.

The file is made if it is missing, replaced if it is damaged, and left alone if it isn't ours.
"""

import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from sqlite_utils import Database

from agent.errors import SpoolError
from agent.log import Log
from agent.spool.clock import Clock, readable
from agent.spool.failure import is_damage, said, translate
from agent.spool.journal import recover
from agent.spool.lock import hold, read_mark
from agent.spool.maintenance import BUSY_MS
from agent.spool.salvage import move_aside, salvage
from agent.spool.schema import KNOWN, SET, migrations, note, rows_by_name
from agent.spool.space import MB, PAGE_BYTES, Plan, Space, beside, file_bytes
from agent.spool.spool import Spool
from agent.spool.values import Limits, Recovery

_HEAD = b"SQLite format 3\0"
_UNTOUCHED = "It wasn't touched. Set KUBENTLY_SPOOL_PATH to a path of the agent's own."

log = Log("spool")


@asynccontextmanager
async def open_spool(
    path: Path, limits: Limits, *, clock: Clock | None = None, inline: bool = False
) -> AsyncIterator[Spool]:
    """Open the spool at `path`. Other files of it stand beside it, so the folder must be writable. `inline`: write on
    the event loop, for tests whose clock is virtual.

    Raises SpoolError: it can't be opened, another agent has it, or it is no spool, or a later version's, and untouched.
    """
    refuse_foreign(path)
    with said(f"The spool's folder {path.parent} can't be made"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with hold(path) as mark:
        spool = _open(Space(path, limits), clock or Clock(), inline=inline)
        try:
            mark()
            yield spool
        finally:
            await spool.close()


def _open(space: Space, clock: Clock, *, inline: bool) -> Spool:
    """Slow for a large file: all of it is checked."""
    path, report = space.path, Recovery()
    space.drop_ballast()
    try:
        with said(f"The spool {path} can't be opened"):
            _put_right(path, space, report)
            db = connect(path, space.plan)
        try:
            db.execute("begin immediate")
            waiting = recover(db, clock, space.limits.rerun_seconds, report)
            _tell(db, report, space, readable(clock.unix_ms()))
            db.execute("commit")
            space.opened(db)
            return Spool(db, space, clock, waiting, report, inline=inline)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise translate(error, path) from error


def _put_right(path: Path, space: Space, report: Recovery) -> None:
    """Make sure that there is a usable database at `path`."""
    report.damage = look(path)
    ready = beside(path, ".new")  # complete, but the agent died before it was renamed
    if report.damage is not None:
        making = create(path)
        salvage(path, making, space.plan.soft_bytes // PAGE_BYTES, report)
        making.rename(ready)
        report.moved_aside = move_aside(path)
    if path.exists():
        return
    if beside(path, "-wal").exists() or beside(path, "-shm").exists():
        move_aside(path)  # of a database that somebody removed; another must not use them
    (ready if ready.exists() else create(path)).rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _tell(db: sqlite3.Connection, found: Recovery, space: Space, now: str) -> None:
    """Say what was found, in the log and for people who look with sqlite3."""
    note(db, opened_at=now, pid=os.getpid(), capacity_bytes=space.plan.capacity_bytes, full_because=None)
    counts = {"run_again": found.rerun, "answered_interrupted": found.interrupted, "given_up": found.gave_up}
    if any(counts.values()):
        log.warning("commands were unfinished when the agent ended last", **counts)
        words = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items())
        note(db, recovery=f"{now}: {words}")
    if found.moved_aside is not None:
        text = "the spool was damaged: moved aside, a new one begun"
        log.error(text, damage=found.damage, moved_to=found.moved_aside, salvaged=found.salvaged, damaged=found.damaged)
        words = f"{found.salvaged} commands brought over, {found.damaged} of them with an error for a result"
        note(db, damage=f"{now}: {found.damage}; {words}; the old file is {found.moved_aside.name}")


def refuse_foreign(path: Path) -> None:
    """Raise SpoolError if a file is here that isn't a spool or can't be read. A broken spool has our mark beside it."""
    with said(f"The spool {path} can't be read", "Run this as a user who may, or set KUBENTLY_SPOOL_PATH."):
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


def look(path: Path) -> str | None:
    """What is wrong with the file, which is only read; None if nothing. Raises SpoolError if it is another's database.

    Its indexes are compared with their tables too. 135 MB with 60,000 results take 0.24 s of processor time (measured).
    """
    if not path.exists():
        return None
    path.open("r+b").close()  # gives the clearest error
    if file_bytes(path) == 0:
        return "the file is empty"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            _check_version(path, db)
            (verdict,) = db.execute("pragma integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return str(error)
        raise
    return None if verdict == "ok" else str(verdict).splitlines()[-1]  # the first may say which database it is


def _check_version(path: Path, db: sqlite3.Connection) -> None:
    """Refuse what hasn't a spool's tables of this version or an earlier one."""
    known: set[str] = set()
    if db.execute("select 1 from sqlite_schema where name = '_sqlite_migrations'").fetchone():
        names = db.execute("select name from _sqlite_migrations where migration_set = ?", (SET,))
        known = {name for (name,) in names}
    if not known:
        raise SpoolError(f"{path} is a database, but not a spool of this agent (0.1.0 or later).", _UNTOUCHED)
    if later := known - KNOWN:
        raise SpoolError(
            f"The spool {path} was written by a later version of the agent (it has {', '.join(sorted(later))}).",
            "It wasn't touched. Run that version again, or set KUBENTLY_SPOOL_PATH to another path.",
        )


def create(path: Path) -> Path:
    """Make an empty spool beside `path` and return where."""
    making = beside(path, ".making")
    for suffix in ("", "-journal"):
        beside(making, suffix).unlink(missing_ok=True)
    making.touch(0o600, exist_ok=False)
    with closing(sqlite3.connect(making, isolation_level=None)) as db:
        db.execute(f"pragma page_size = {PAGE_BYTES}")
        db.execute("pragma auto_vacuum = incremental")  # only before the first table
        _migrate(db)
    return making


def connect(path: Path, plan: Plan) -> sqlite3.Connection:
    """The one connection that writes. The tables are brought up to date."""
    checkpoint_bytes = max(plan.wal_bytes // 2, plan.wal_bytes - 2 * MB)  # one commit more fits into the log's share
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
    try:
        for pragma in (
            "journal_mode = wal",
            "synchronous = full",  # survives power loss; 0.1 ms a commit more than `normal`
            "secure_delete = fast",  # overwrites what costs nothing; `on` would write over every deleted output
            f"max_page_count = {plan.hard_pages}",
            f"wal_autocheckpoint = {checkpoint_bytes // PAGE_BYTES}",
            f"journal_size_limit = {checkpoint_bytes}",
            "cache_size = -512",  # KiB; the agent's memory is counted
            "temp_store = memory",  # the root file system may be read-only
            "trusted_schema = off",
        ):
            connection.execute(f"pragma {pragma}").fetchall()
        rows_by_name(connection)
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    migrations.apply(Database(connection, execute_plugins=False, recursive_triggers=False))


def try_volume(folder: Path) -> None:
    """Write to a database with a write-ahead log in `folder`. Raises SpoolError if the volume can't hold a spool."""
    with (
        said(f"The spool's folder {folder} can't be written"),
        tempfile.TemporaryDirectory(prefix=".spool-check-", dir=folder) as inside,
    ):
        path = Path(inside) / "check.db"
        try:
            with closing(connect(path, Plan(1 << 22, 1 << 16))) as db:
                db.execute("insert into meta values ('checked', '1')")
        except sqlite3.Error as error:
            raise translate(error, folder / path.name) from error
