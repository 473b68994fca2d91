"""The spool's one connection, behind one thread.

SQLite has one writer at a time, and a durable commit waits for the disk. So every operation is handed to this thread,
which carries them out in order and puts all that wait into one transaction. There are two ways to hand one in:

- `run` waits for its commit, and that one waits for the disk;
- `hand_in` waits for nothing. Its commit is made at once and is on the disk with the next one that somebody waits for:
  only a power loss can take it back, and then all that came after it too.

If one operation of a transaction fails, the transaction is undone and each is tried on its own, so operations must be
functions of the database alone. What was handed in is carried out even if the task that waits for it is cancelled.
"""

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from itertools import groupby
from typing import Any, TypeVar, cast

import outcome
import trio

from agent.errors import SpoolError, SpoolFull
from agent.spool.failure import translate
from agent.spool.space import Space

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Need(Enum):
    """What an operation needs."""

    READ = auto()
    """Nothing. May be abandoned."""
    GROW = auto()
    """Room below the soft limit."""
    STATE = auto()
    """The headroom too, and the ballast if the disk is full."""
    ALONE = auto()
    """To be outside of any transaction."""


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    need: Need
    then: Callable[[Any], None] | None
    failed: Callable[[SpoolError], None] | None = None
    task: trio.lowlevel.Task | None = None
    waited_for: bool = True
    result: outcome.Maybe[Any] | None = None

    @property
    def single(self) -> bool:
        return self.need in {Need.READ, Need.ALONE}


class Writer:
    """Carries out operations on `connection`, in the order given.

    Args:
        connection: in autocommit mode. It is the writer's from now on, who closes it.
        space: is kept up to date.
        changed: called on the event loop after each commit.
        inline: without a thread, on the event loop itself: for tests whose clock is virtual.
    """

    def __init__(
        self, connection: sqlite3.Connection, space: Space, changed: Callable[[], None], *, inline: bool = False
    ) -> None:
        self.failure: SpoolError | None = None
        """What failed and no second try will mend: the file may be broken."""
        self._connection = connection
        self._space = space
        self._changed = changed
        self._pragmas: dict[str, object] = {}
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._thread = None if inline else threading.Thread(target=self._main, name="spool", daemon=True)
        if self._thread is not None:
            self._thread.start()

    async def run(self, work: Work[T], need: Need, *, then: Callable[[T], None] | None = None) -> T:
        """Hand in an operation and wait for its commit.

        Args:
            work: gets the connection inside a transaction; may be called twice.
            need: what it needs.
            then: called with its value on the event loop, in the order of commits, before anybody hears of it.

        Raises:
            SpoolFull: there is no room.
            SpoolError: the database can't be used, or was closed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed:
            raise SpoolError("The spool is closed.")
        job = _Job(work, need, then)
        if self._thread is None:
            self._carry_out([job])
            self._wake([job])
            await trio.lowlevel.cancel_shielded_checkpoint()
            return cast("outcome.Maybe[T]", job.result).unwrap()
        job.task = trio.lowlevel.current_task()
        self._waiting.put(job)

        def abort(_: object) -> trio.lowlevel.Abort:
            if need is not Need.READ:
                return trio.lowlevel.Abort.FAILED
            job.task = job.then = None  # nobody will hear of it
            return trio.lowlevel.Abort.SUCCEEDED

        return cast("T", await trio.lowlevel.wait_task_rescheduled(abort))

    def hand_in(
        self,
        work: Work[T],
        need: Need = Need.STATE,
        *,
        then: Callable[[T], None] | None = None,
        failed: Callable[[SpoolError], None] | None = None,
    ) -> None:
        """Hand in an operation and don't wait. `failed` is told what went wrong; what won't pass is in `failure`."""
        job = _Job(work, need, then, failed, waited_for=False)
        if self._closed:
            return
        if self._thread is None:
            self._carry_out([job])
            self._wake([job])
        else:
            self._waiting.put(job)

    async def close(self) -> None:
        """Carry out what was handed in, close the connection, end the thread."""
        if self._thread is None:
            self._connection.close()
        elif not self._closed:
            self._waiting.put(None)
            self._closed = True
            with trio.CancelScope(shield=True):
                await self._ended.wait()
            self._thread.join()
        self._closed = True

    # On the thread.

    def _main(self) -> None:
        closing = False
        while not closing:
            waiting = [self._waiting.get()]
            while not self._waiting.empty():
                waiting.append(self._waiting.get())
            closing = waiting[-1] is None
            jobs = [job for job in waiting if job is not None]
            for single, group in groupby(jobs, lambda job: job.single):
                for together in [[job] for job in group] if single else [list(group)]:
                    self._carry_out(together)
                    self._tell(partial(self._wake, together))
        self._connection.close()
        self._tell(self._ended.set)

    def _tell(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(callback)

    def _carry_out(self, jobs: list[_Job]) -> None:
        if len(jobs) > 1:
            with contextlib.suppress(Exception):  # each is tried again on its own, and gets its own error
                for job, value in zip(jobs, self._commit(jobs), strict=True):
                    job.result = outcome.Value(value)
                return
        for job in jobs:
            job.result = outcome.capture(self._alone, job)
            if isinstance(job.result, outcome.Error):
                with contextlib.suppress(sqlite3.Error):  # it may be that others have filled the disk
                    self._space.measure(*self._pages())

    def _alone(self, job: _Job) -> Any:
        try:
            return self._once(job)
        except sqlite3.Error as error:
            if job.need is not Need.STATE or not self._space.drop_ballast():
                raise translate(error, self._space.path) from error
        try:
            return self._once(job)
        except sqlite3.Error as error:
            raise translate(error, self._space.path) from error

    def _once(self, job: _Job) -> Any:
        if not job.single:
            return self._commit([job])[0]
        value = job.work(self._connection)
        if job.need is Need.ALONE:
            self._space.measure(*self._pages())
        return value

    def _commit(self, jobs: list[_Job]) -> list[Any]:
        connection = self._connection
        # `normal` leaves the wait for the disk to the next commit that has to wait for it.
        self._set("synchronous", "full" if any(job.waited_for for job in jobs) else "normal")
        connection.execute("begin immediate")
        try:
            values = []
            for job in jobs:
                plan = self._space.plan
                self._set("max_page_count", plan.soft_pages if job.need is Need.GROW else plan.hard_pages)
                values.append(job.work(connection))
            pages = self._pages()  # inside: afterwards it would take a transaction of its own, 0.1 ms
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        self._space.measure(*pages)
        return values

    def _set(self, pragma: str, value: object) -> None:
        if self._pragmas.get(pragma) != value:
            self._connection.execute(f"pragma {pragma} = {value}")
            self._pragmas[pragma] = value

    def _pages(self) -> tuple[int, int]:
        """Of the database, and how many of them are free."""
        (pages,) = self._connection.execute("pragma page_count").fetchone()
        (free,) = self._connection.execute("pragma freelist_count").fetchone()
        return pages, free

    # On the event loop.

    def _wake(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if isinstance(job.result, outcome.Error):
                self._note(job, job.result.error)
            elif isinstance(job.result, outcome.Value) and job.then is not None:
                job.then(job.result.value)
        self._changed()
        for job in jobs:
            if job.task is not None and job.result is not None:
                trio.lowlevel.reschedule(job.task, job.result)

    def _note(self, job: _Job, error: BaseException) -> None:
        if not isinstance(error, SpoolError):
            error = SpoolError(f"The spool's thread failed: {type(error).__name__}: {error}.")
        if not isinstance(error, SpoolFull):
            self.failure = self.failure or error
        if job.failed is not None:
            job.failed(error)
