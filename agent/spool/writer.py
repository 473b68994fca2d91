"""The spool's one connection, behind one thread.

SQLite has one writer at a time, and a commit waits for the disk. So every operation is handed to this thread, which
puts all that wait into one transaction: one wait for the disk instead of many (21,700 rows a second with 64 tasks,
measured). If one of them fails, the transaction is undone and each is tried on its own, so operations must be
functions of the database alone. An operation that was handed in is carried out even if the task that waits for it is
cancelled.
"""

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, TypeVar, cast

import outcome
import trio

from agent.errors import SpoolError, SpoolFull
from agent.spool.failure import translate
from agent.spool.space import Space

T = TypeVar("T")

_GROUP_JOBS = 64
_GROUP_BYTES = 1024 * 1024  # a larger transaction would make the write-ahead log longer than planned


class Kind(Enum):
    """What an operation needs."""

    READ = auto()
    """Nothing. May be abandoned."""
    ACCEPT = auto()
    """Room below the soft limit, and room for one output beside it: what is accepted must be able to run."""
    GROW = auto()
    """Room below the soft limit."""
    STATE = auto()
    """The headroom too, and the ballast if the disk is full."""
    ALONE = auto()
    """To be outside of any transaction."""


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    kind: Kind
    weight: int
    then: Callable[[Any], None] | None
    task: trio.lowlevel.Task | None
    outcome: outcome.Maybe[Any]


_PENDING: outcome.Maybe[Any] = outcome.Error(SpoolError("The spool was closed before this could be done."))


class Writer:
    """Carries out operations on `connection`, in the order given.

    Args:
        connection: in autocommit mode. The thread owns it from now on, and closes it.
        space: is kept up to date.
        changed: called on the event loop after each commit.
    """

    def __init__(self, connection: sqlite3.Connection, space: Space, changed: Callable[[], None]) -> None:
        self.suspect = False
        """Whether something failed that a second try won't mend: the file may be broken."""
        self._connection = connection
        self._space = space
        self._changed = changed
        self._pages = 0
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._held: _Job | None = None
        self._closing = False
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._thread = threading.Thread(target=self._main, name="spool", daemon=True)
        self._thread.start()

    async def run(
        self,
        work: Callable[[sqlite3.Connection], T],
        kind: Kind,
        *,
        weight: int = 0,
        then: Callable[[T], None] | None = None,
    ) -> T:
        """Hand in an operation and wait for its commit.

        Args:
            work: gets the connection inside a transaction; may be called twice.
            kind: what it needs.
            weight: how many bytes it writes, roughly.
            then: called with its value on the event loop, in the order of commits, before anybody hears of it.

        Raises:
            SpoolFull: there is no room.
            SpoolError: the database can't be used, or was closed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closing:
            raise SpoolError("The spool is closed.")
        job = _Job(work, kind, weight, then, trio.lowlevel.current_task(), _PENDING)
        self._waiting.put(job)

        def abort(_: object) -> trio.lowlevel.Abort:
            if kind is not Kind.READ:
                return trio.lowlevel.Abort.FAILED
            job.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        return cast("T", await trio.lowlevel.wait_task_rescheduled(abort))

    async def close(self) -> None:
        """Carry out what was handed in, close the connection, end the thread."""
        if not self._closing:
            self._closing = True
            self._waiting.put(None)
        with trio.CancelScope(shield=True):
            await self._ended.wait()
        self._thread.join()

    # On the thread.

    def _main(self) -> None:
        while jobs := self._gather():
            self._carry_out(jobs)
            self._tell(partial(self._wake, jobs))
        self._connection.close()
        self._tell(self._ended.set)

    def _tell(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(callback)

    def _gather(self) -> list[_Job]:
        """What waits, as far as it fits into one transaction; nothing at the end."""
        job, self._held = self._held or self._waiting.get(), None
        if job is None:
            return []
        jobs = [job]
        weight = job.weight
        while job.kind is not Kind.ALONE and len(jobs) < _GROUP_JOBS and weight < _GROUP_BYTES:
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._waiting.put(None)
                break
            if job.kind is Kind.ALONE:
                self._held = job
                break
            jobs.append(job)
            weight += job.weight
        return jobs

    def _carry_out(self, jobs: list[_Job]) -> None:
        if len(jobs) > 1:
            try:
                values = self._commit(jobs)
            except Exception:  # noqa: S110  # each is tried again on its own, and gets its own error
                pass
            else:
                for job, value in zip(jobs, values, strict=True):
                    job.outcome = outcome.Value(value)
                return
        for job in jobs:
            job.outcome = outcome.capture(self._alone, job)
            if isinstance(job.outcome, outcome.Error):
                self._measure()  # it may be that others have filled the disk
                self.suspect |= not isinstance(job.outcome.error, SpoolFull)

    def _alone(self, job: _Job) -> Any:
        try:
            return self._once(job)
        except sqlite3.Error as error:
            if job.kind is not Kind.STATE or not self._space.drop_ballast():
                raise translate(error, self._space.path) from error
        try:
            return self._once(job)
        except sqlite3.Error as error:
            raise translate(error, self._space.path) from error

    def _once(self, job: _Job) -> Any:
        if job.kind is Kind.READ:
            return job.work(self._connection)
        if job.kind is Kind.ALONE:
            value = job.work(self._connection)
            self._measure()
            return value
        return self._commit([job])[0]

    def _commit(self, jobs: list[_Job]) -> list[Any]:
        connection = self._connection
        connection.execute("begin immediate")
        try:
            values = []
            for job in jobs:
                self._limit(job.kind)
                values.append(job.work(connection))
            pages = self._pages_now()  # inside: afterwards it would take a transaction of its own, 0.1 ms
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        with contextlib.suppress(OSError):
            self._space.measure(*pages)
        return values

    def _limit(self, kind: Kind) -> None:
        if kind is Kind.READ:
            return
        plan = self._space.plan
        pages = plan.hard_pages
        if kind is Kind.GROW:
            pages = plan.soft_pages
        elif kind is Kind.ACCEPT:
            pages = plan.soft_pages - self._space.reserve_bytes // self._space.page_bytes
        if pages != self._pages:
            self._connection.execute(f"pragma max_page_count = {pages}")
            self._pages = pages

    def _measure(self) -> None:
        with contextlib.suppress(sqlite3.Error, OSError):
            self._space.measure(*self._pages_now())

    def _pages_now(self) -> tuple[int, int]:
        """Of the database, and how many of them are free."""
        (pages,) = self._connection.execute("pragma page_count").fetchone()
        (free,) = self._connection.execute("pragma freelist_count").fetchone()
        return pages, free

    # On the event loop.

    def _wake(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if job.then is None or (job.kind is Kind.READ and job.task is None):
                continue  # nobody asked, or nobody will hear of it
            if isinstance(job.outcome, outcome.Value):
                job.then(job.outcome.value)
        self._changed()
        for job in jobs:
            if job.task is not None:
                trio.lowlevel.reschedule(job.task, job.outcome)
