"""Opening a spool: the lock, the file, what was under way; and closing it again."""

import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from agent.errors import SpoolError
from agent.spool.clock import Clock, readable
from agent.spool.failure import is_damage, translate
from agent.spool.lock import CLOSING, OPEN, SUSPECT, SpoolLock
from agent.spool.maintenance import measure, note
from agent.spool.opening import open_database, refuse_foreign
from agent.spool.recovery import recover
from agent.spool.space import Space
from agent.spool.spool import Ready, Spool
from agent.spool.values import Limits, Recovery


@asynccontextmanager
async def open_spool(
    path: Path,
    limits: Limits,
    *,
    wall: Callable[[], float] = time.time,
    clock: Clock | None = None,
    inline: bool = False,
) -> AsyncIterator[Spool]:
    """Open the spool at `path`, made if it isn't there, and bring what was under way to an end.

    Args:
        path: of the database. Other files of the spool stand beside it, so the folder must be writable.
        limits: what bounds it.
        wall: seconds since the epoch.
        clock: all clocks; `wall` is then ignored.
        inline: write on the event loop, for tests whose clock is virtual.

    Raises:
        SpoolTooNew: it was written by a later version of the agent, and wasn't touched.
        SpoolError: it can't be opened, another agent has it, or the file isn't a spool, and wasn't touched.
    """
    clock = clock or Clock(wall)
    lock = await trio.to_thread.run_sync(_lock, path)
    try:
        ready = await trio.to_thread.run_sync(_open, path, limits, clock, lock)
        spool = Spool(ready, inline=inline)
        try:
            yield spool
        finally:
            lock.write(SUSPECT if spool.suspect else CLOSING)
            await spool.close()
    finally:
        lock.release()


def _lock(path: Path) -> SpoolLock:
    refuse_foreign(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpoolError(
            f"The spool's folder {path.parent} can't be made ({error.strerror}).",
            "Make it, or set KUBENTLY_SPOOL_PATH to a folder that is writable.",
        ) from error
    return SpoolLock(path)


def _open(path: Path, limits: Limits, clock: Clock, lock: SpoolLock) -> Ready:
    space = Space(path, limits)
    space.drop_ballast()
    report = Recovery()
    try:
        db = open_database(path, space.plan, lock, report)
        try:
            db.execute("begin immediate")
            waiting = recover(db, clock, limits.rerun_seconds, report)
            _note(db, report, space, readable(clock.unix_ms()))
            db.execute("commit")
            lock.write(OPEN)
            space.opened(db)
            return Ready(db, space, limits, clock, report, waiting, measure(db))
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        if is_damage(error):
            lock.write(SUSPECT)
        raise translate(error, path) from error


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
