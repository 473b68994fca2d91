"""The spool's one connection, behind one thread.

SQLite has one writer at a time, and a durable commit waits for the disk. So every operation is handed to this thread,
which carries them out in order and puts all that wait into one transaction. If one of them fails, the transaction is
undone and each is tried on its own, so operations must be functions of the database alone.

- `run` waits for the commit, and that one waits for the disk. It is made even if the task that waits is cancelled.
- `hand_in` waits for nothing. Its commit is on the disk with the next one that somebody waits for: only a power loss
  can take it back, and then all that came after it too.
"""

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import groupby
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

import outcome
import trio

from agent.errors import SpoolError, SpoolFull
from agent.spool.failure import translate
from agent.spool.space import Space

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

COMPANY_SECONDS = 0.02
"""How long a note waits for another commit to join."""


class Need(Enum):
    """What an operation needs."""

    READ = auto()  # nothing; may be abandoned
    GROW = auto()  # room below the soft limit
    STATE = auto()  # the headroom too, and the ballast if the disk is full
    NOTE = auto()  # the same, and no haste
    ALONE = auto()  # to be outside of any transaction


@dataclass(slots=True, eq=False)
class Job:
    """One operation on its way."""

    need: Need
    work: Callable[[sqlite3.Connection], Any]
    then: Callable[[Any], object] | None
    durable: bool = False
    result: outcome.Maybe[Any] | None = None
    done: trio.Event = field(default_factory=trio.Event)

    @property
    def failed(self) -> bool:
        """Whether it has failed."""
        return isinstance(self.result, outcome.Error)


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
        """A failure that trying again won't mend: the file may be broken."""
        self._connection = connection
        self._space = space
        self._changed = changed
        self._synchronous = ""
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closed = False
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._thread = None if inline else threading.Thread(target=self._main, name="spool", daemon=True)
        if self._thread is not None:
            self._thread.start()

    async def run(
        self,
        need: Need,
        work: Callable[[sqlite3.Connection, Unpack[Ts]], T],
        *args: *Ts,
        then: Callable[[T], object] | None = None,
    ) -> T:
        """Hand in an operation and wait for its commit.

        Args:
            need: what it needs.
            work: gets the connection inside a transaction, and the arguments; may be called twice.
            args: of `work`.
            then: called with its value on the event loop, in the order of commits, before anybody hears of it.

        Raises:
            SpoolFull: there is no room.
            SpoolError: the database can't be used, or was closed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed:
            raise SpoolError("The spool is closed.")
        job = self._put(Job(need, lambda db: work(db, *args), then, durable=need is not Need.READ))
        with trio.CancelScope(shield=need is not Need.READ):
            await job.done.wait()
        return cast("outcome.Maybe[T]", job.result).unwrap()

    def hand_in(
        self,
        need: Need,
        work: Callable[[sqlite3.Connection, Unpack[Ts]], T],
        *args: *Ts,
        then: Callable[[T], object] | None = None,
    ) -> Job:
        """Hand in an operation and don't wait. What goes wrong and won't pass is in `failure`."""
        return self._put(Job(need, lambda db: work(db, *args), then))

    def _put(self, job: Job) -> Job:
        if self._thread is not None and not self._closed:
            self._waiting.put(job)
        elif not self._closed:
            self._carry_out([job])
            self._tell([job])
        return job

    async def close(self) -> None:
        """Carry out what was handed in, close the connection, end the thread."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            self._connection.close()
            return
        self._waiting.put(None)
        with trio.CancelScope(shield=True):
            await self._ended.wait()
        self._thread.join()

    # On the thread.

    def _main(self) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            with contextlib.closing(self._connection):
                closing = False
                while not closing:
                    found = self._next()
                    closing = found[-1] is None
                    jobs = [job for job in found if job is not None]
                    self._carry_out(jobs)
                    self._token.run_sync_soon(self._tell, jobs)
            self._token.run_sync_soon(self._ended.set)

    def _next(self) -> list[Job | None]:
        """All operations that wait. If they are notes alone, more may join for a moment."""
        found = [self._waiting.get()]
        until = time.monotonic() + COMPANY_SECONDS
        with contextlib.suppress(queue.Empty):
            while (last := found[-1]) is not None and last.need is Need.NOTE:
                found.append(self._waiting.get(timeout=max(0.0, until - time.monotonic())))
            while True:
                found.append(self._waiting.get_nowait())
        return found

    def _carry_out(self, jobs: list[Job]) -> None:
        for alone, group in groupby(jobs, lambda job: job.need is Need.ALONE):
            together = list(group)
            if len(together) > 1 and not alone:
                with contextlib.suppress(Exception):  # each is tried again on its own, and gets its own error
                    for job, value in zip(together, self._attempt(together), strict=True):
                        job.result = outcome.Value(value)
                    continue
            for job in together:
                job.result = outcome.capture(self._by_itself, job)

    def _by_itself(self, job: Job) -> Any:
        try:
            try:
                return self._attempt([job])[0]
            except sqlite3.Error:
                if job.need not in {Need.STATE, Need.NOTE} or not self._space.drop_ballast():
                    raise
                return self._attempt([job])[0]
        except sqlite3.Error as error:
            raise translate(error, self._space.path) from error

    def _attempt(self, jobs: list[Job]) -> list[Any]:
        needs = {job.need for job in jobs}
        if not needs <= {Need.READ, Need.ALONE}:
            return self._commit(jobs, needs)
        values = [job.work(self._connection) for job in jobs]
        if Need.ALONE in needs:
            self._space.measure(self._connection)
        return values

    def _commit(self, jobs: list[Job], needs: set[Need]) -> list[Any]:
        db, before = self._connection, self._space.used_bytes
        # `normal` leaves the wait for the disk to the next commit that has to wait for it.
        synchronous = "full" if any(job.durable for job in jobs) else "normal"
        if synchronous != self._synchronous:
            db.execute(f"pragma synchronous = {synchronous}")
            self._synchronous = synchronous
        db.execute("begin immediate")
        try:
            values = [job.work(db) for job in jobs]
            if synchronous == "full" or Need.GROW in needs:  # what the others add is little
                self._space.measure(db)  # inside: afterwards it would take a transaction of its own, 0.1 ms
            if Need.GROW in needs:
                self._space.check_growth(before)
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            with contextlib.suppress(sqlite3.Error):  # it may be that others have filled the disk
                self._space.measure(db)
            raise
        return values

    # On the event loop.

    def _tell(self, jobs: list[Job]) -> None:
        for job in jobs:
            if isinstance(job.result, outcome.Error):
                self._note(job.result.error)
            elif isinstance(job.result, outcome.Value) and job.then is not None:
                job.then(job.result.value)
        self._changed()
        for job in jobs:
            job.done.set()

    def _note(self, error: BaseException) -> None:
        if not isinstance(error, SpoolError):
            error = SpoolError(f"The spool's thread failed: {type(error).__name__}: {error}.")
        if not isinstance(error, SpoolFull):
            self.failure = self.failure or error
