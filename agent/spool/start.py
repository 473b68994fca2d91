"""Opening a spool: the lock, the file, what was under way; and closing it again."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from agent.spool.clock import Clock, readable
from agent.spool.failure import is_damage, said, translate
from agent.spool.journal import recover
from agent.spool.lock import CLOSING, OPEN, SUSPECT, hold, read_mark
from agent.spool.maintenance import note
from agent.spool.opening import connect, create, look, refuse_foreign
from agent.spool.salvage import move_aside, salvage
from agent.spool.space import PAGE_BYTES, Space, beside
from agent.spool.spool import Spool
from agent.spool.values import Limits, Recovery

_NO_LOG = (
    "the agent died with it open, and its write-ahead log is gone since: unless somebody opened it with sqlite3 "
    "without -readonly, the last commands and results are lost"
)


@asynccontextmanager
async def open_spool(
    path: Path, limits: Limits, *, clock: Clock | None = None, inline: bool = False
) -> AsyncIterator[Spool]:
    """Open the spool at `path`, made if it isn't there, and bring what was under way to an end.

    Args:
        path: of the database. Other files of the spool stand beside it, so the folder must be writable.
        limits: what bounds it.
        clock: all clocks.
        inline: write on the event loop, for tests whose clock is virtual.

    Raises:
        SpoolTooNew: it was written by a later version of the agent, and wasn't touched.
        SpoolError: it can't be opened, another agent has it, or the file isn't a spool, and wasn't touched.
    """
    refuse_foreign(path)
    with said(f"The spool's folder {path.parent} can't be made"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with hold(path) as mark:
        spool = _open(path, limits, clock or Clock(), mark, inline=inline)
        try:
            yield spool
        finally:
            mark(SUSPECT if spool.suspect else CLOSING)
            await spool.close()


def _open(path: Path, limits: Limits, clock: Clock, mark: Callable[[str], None], *, inline: bool) -> Spool:
    """Slow for a large file: all of it is checked."""
    space = Space(path, limits)
    space.drop_ballast()
    report = Recovery()
    try:
        with said(f"The spool {path} can't be opened"):
            _put_right(path, space, report)
            db = connect(path, space.plan)
        try:
            db.execute("begin immediate")
            recover(db, clock, limits.rerun_seconds, report)
            _note(db, report, space, readable(clock.unix_ms()))
            db.execute("commit")
            mark(OPEN)
            space.opened(db)
            return Spool(db, space, limits, clock, report, inline=inline)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        if is_damage(error):
            mark(SUSPECT)
        raise translate(error, path) from error


def _put_right(path: Path, space: Space, report: Recovery) -> None:
    """Have a database at `path` that can be used. What had to be done for it goes into the report."""
    last = read_mark(path)
    log = beside(path, "-wal")
    log_is_gone = last.startswith(OPEN) and path.exists() and not log.exists()
    report.damage = look(path, ours=bool(last), thorough=last.startswith(SUSPECT))  # begins a new log
    ready = beside(path, ".new")  # complete, where an agent died before it was in its place
    if report.damage is not None:
        salvage(path, create(path), space.plan.soft_bytes // PAGE_BYTES, report)
        beside(path, ".making").rename(ready)
        report.moved_aside = move_aside(path)
    elif log_is_gone:
        report.damage = _NO_LOG
    if path.exists():
        return
    if log.exists() or beside(path, "-shm").exists():
        move_aside(path)  # of a database that somebody took away; they must not meet another
    (ready if ready.exists() else create(path)).rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _note(db: sqlite3.Connection, found: Recovery, space: Space, now: str) -> None:
    """For people who look with sqlite3."""
    note(db, opened_at=now, pid=os.getpid(), capacity_bytes=space.plan.capacity_bytes, full_because=None)
    if found.rerun or found.interrupted or found.gave_up:
        counts = f"{found.rerun} to run again, {found.interrupted} too old for that, {found.gave_up} given up"
        note(db, recovery=f"{now}: {counts}")
    if found.damage:
        aside = ""
        if found.moved_aside is not None:
            aside = (
                f"; {found.salvaged} commands brought over, {found.damaged} of them with an error for a result; "
                f"the old file is {found.moved_aside.name}"
            )
        note(db, damage=f"{now}: {found.damage}{aside}")
