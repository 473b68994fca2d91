"""The spool as the tasks see it."""

import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from agent.errors import SpoolError
from agent.spool import upkeep
from agent.spool.clock import Clock
from agent.spool.commands import Commands
from agent.spool.failure import is_damage, translate
from agent.spool.keeper import Keeper
from agent.spool.lock import SUSPECT, SpoolLock
from agent.spool.opening import Opened, open_database
from agent.spool.recover import recover
from agent.spool.space import Space, plan_for
from agent.spool.upkeep import Measured
from agent.spool.values import Limits, Recovery


class Spool(Commands, Keeper):
    """Made by `open_spool`. All methods are for the event loop that opened it.

    Every operation may raise `SpoolFull` (the disk or the cap; nothing was written, try again later) or `SpoolError`
    (the file can't be used any more). One that has begun is carried out even if its caller is cancelled.
    """

    def start(self, recovery: Recovery, measured: Measured) -> None:
        """Take over what was found when the file was opened."""
        self.recovery = recovery
        self._tally.measured(measured)
        self._changed()

    @property
    def suspect(self) -> bool:
        """Whether something failed that a second try won't mend: the file may be broken."""
        return self._writer.suspect

    async def close(self) -> None:
        """Carry out what was begun and close the file."""
        await self._writer.close()


@dataclass(frozen=True, slots=True)
class _Ready:
    connection: sqlite3.Connection
    space: Space
    recovery: Recovery
    measured: Measured


@asynccontextmanager
async def open_spool(
    path: Path, limits: Limits, *, wall: Callable[[], float] = time.time, clock: Clock | None = None
) -> AsyncIterator[Spool]:
    """Open the spool at `path`, made if it isn't there, and bring what was under way to an end.

    Args:
        path: of the database. Other files of the spool stand beside it, so the folder must be writable.
        limits: what bounds it.
        wall: seconds since the epoch.
        clock: all clocks; `wall` is then ignored.

    Raises:
        SpoolTooNew: it was written by a later version of the agent, and wasn't touched.
        SpoolError: it can't be opened, or another agent has it.
    """
    clock = clock or Clock(wall)
    lock = await trio.to_thread.run_sync(_lock, path)
    try:
        ready = await trio.to_thread.run_sync(_open, path, limits, clock, lock)
        spool = Spool(ready.connection, ready.space, limits, clock)
        spool.start(ready.recovery, ready.measured)
        try:
            yield spool
        finally:
            lock.write(SUSPECT if spool.suspect else "closing")
            await spool.close()
    finally:
        lock.release()


def _lock(path: Path) -> SpoolLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpoolError(
            f"The spool's folder {path.parent} can't be made ({error.strerror}). "
            "Make it, or set KUBENTLY_SPOOL_PATH to a folder that is writable."
        ) from error
    return SpoolLock(path)


def _open(path: Path, limits: Limits, clock: Clock, lock: SpoolLock) -> _Ready:
    plan = plan_for(path, limits.max_bytes)
    space = Space(path, plan, limits.output_bytes)
    space.drop_ballast()
    try:
        opened = open_database(path, plan, lock)
        try:
            return _Ready(opened.connection, space, *_recover(opened, space, limits, clock, lock))
        except BaseException:
            opened.connection.close()
            raise
    except sqlite3.Error as error:
        if is_damage(error):
            lock.write(SUSPECT)
        raise translate(error, path) from error


def _aside(recovery: Recovery) -> str:
    if recovery.moved_aside is None:
        return ""
    return (
        f"; {recovery.salvaged} commands brought over, {recovery.damaged} of them with an error for a result; "
        f"the old file is {recovery.moved_aside.name}"
    )


def _recover(opened: Opened, space: Space, limits: Limits, clock: Clock, lock: SpoolLock) -> tuple[Recovery, Measured]:
    db = opened.connection
    db.execute("begin immediate")
    found = recover(db, clock, limits.rerun_seconds)
    recovery = Recovery(
        found.rerun,
        found.interrupted,
        found.gave_up,
        opened.moved_aside,
        opened.damage,
        opened.salvaged.rows if opened.salvaged else 0,
        opened.salvaged.damaged if opened.salvaged else 0,
    )
    now = clock.now().readable
    upkeep.note(db, opened_at=now, pid=os.getpid(), capacity_bytes=space.plan.capacity_bytes)
    if recovery.rerun or recovery.interrupted or recovery.gave_up:
        upkeep.note(
            db,
            recovery=f"{now}: {recovery.rerun} to run again, {recovery.interrupted} too old for that, "
            f"{recovery.gave_up} given up",
        )
    if recovery.damage:
        upkeep.note(db, damage=f"{now}: {recovery.damage}{_aside(recovery)}")
    db.execute("commit")
    lock.write("open")
    space.load_ballast()
    (pages,), (free,) = (db.execute(f"pragma {name}").fetchone() for name in ("page_count", "freelist_count"))
    space.measure(pages, free)
    return recovery, upkeep.measure(db)
