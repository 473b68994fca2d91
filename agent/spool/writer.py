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
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

import trio

from agent.errors import SpoolError, SpoolFull
from agent.spool.failure import translate
from agent.spool.space import Space

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

GROWING_AT_ONCE = 4  # pieces of output or batches of commands in one commit: about 1 MiB, by which the log may grow

COMPANY_SECONDS = 0.02
"""How long a change of state that nobody waits for waits for another commit to join. A kill takes it back until then:
at worst a result is sent again, or a run that ended so soon isn't counted."""


class Need(Enum):
    """What an operation needs."""

    OUTSIDE = auto()  # no transaction. It comes after the others that waited with it, and may be abandoned
    GROW = auto()  # room below the soft limit
    STATE = auto()  # the headroom too, and the ballast if the disk is full


@dataclass(slots=True, eq=False)
class Job:
    """One operation on its way, and what came of it."""

    need: Need
    work: Callable[[sqlite3.Connection], Any]
    durable: bool = False
    then: Callable[[], object] = lambda: None
    otherwise: "Callable[[Job], object]" = lambda _: None
    value: Any = None
    error: Exception | None = None
    done: trio.Event = field(default_factory=trio.Event)


class Writer:
    """Carries out operations on `connection`, which is the writer's from now on, in the order given. `space` is kept up
    to date, and `changed` is called on the event loop afterwards. `inline`: without a thread, for tests.
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

    async def run(self, need: Need, work: Callable[[sqlite3.Connection, Unpack[Ts]], T], *args: *Ts) -> T:
        """Hand in an operation and wait for its commit. `work` gets the connection and `args`, and may be called twice.
        Raises SpoolFull if there is no room, SpoolError if the database can't be used or was closed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed:
            raise SpoolError("The spool is closed.")
        job = Job(need, lambda db: work(db, *args), durable=need is not Need.OUTSIDE)
        self.put(job)
        with trio.CancelScope(shield=job.durable):
            await job.done.wait()
        if job.error is not None:
            raise job.error
        return cast("T", job.value)

    def hand_in(
        self,
        need: Need,
        work: Callable[[sqlite3.Connection, Unpack[Ts]], object],
        *args: *Ts,
        then: Callable[[], object] = lambda: None,
        otherwise: Callable[[Job], object] = lambda _: None,
    ) -> Job:
        """Hand in an operation and don't wait. On the event loop `then` is called if it succeeds, else `otherwise`."""
        job = Job(need, lambda db: work(db, *args), then=then, otherwise=otherwise)
        self.put(job)
        return job

    def put(self, job: Job) -> None:
        """Hand in an operation, which may have failed before."""
        if self._thread is not None and not self._closed:
            self._waiting.put(job)
        elif not self._closed:
            self._carry_out([job])
            self._tell([job])

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
        """Operations that wait. If they are changes of state that nobody waits for, more may join for a moment."""
        found = [self._waiting.get()]
        until = time.monotonic() + COMPANY_SECONDS
        with contextlib.suppress(queue.Empty):
            while (last := found[-1]) is not None and last.need is Need.STATE and not last.durable:
                found.append(self._waiting.get(timeout=max(0.0, until - time.monotonic())))
            growing = int(last is not None and last.need is Need.GROW)
            while growing < GROWING_AT_ONCE:
                found.append(job := self._waiting.get_nowait())
                growing += job is not None and job.need is Need.GROW
        return found

    def _carry_out(self, jobs: list[Job]) -> None:
        changes = [job for job in jobs if job.need is not Need.OUTSIDE]
        try:
            if changes:
                self._commit(changes)
        except Exception:  # each is tried again on its own, and gets its own error
            for job in changes:
                if job.need is Need.STATE:
                    self._space.drop_ballast()
                self._by_itself(job)
        for job in jobs:
            if job.need is Need.OUTSIDE:
                self._by_itself(job)

    def _by_itself(self, job: Job) -> None:
        try:
            if job.need is Need.OUTSIDE:
                job.value = job.work(self._connection)
            else:
                self._commit([job])
        except sqlite3.Error as error:
            job.error = translate(error, self._space.path)
        except Exception as error:
            job.error = error

    def _commit(self, jobs: list[Job]) -> None:
        db, before = self._connection, self._space.used_bytes
        growing, durable = any(job.need is Need.GROW for job in jobs), any(job.durable for job in jobs)
        # `normal` leaves the wait for the disk to the next commit that has to wait for it.
        synchronous = "full" if durable else "normal"
        if synchronous != self._synchronous:
            db.execute(f"pragma synchronous = {synchronous}")
            self._synchronous = synchronous
        db.execute("begin immediate")
        try:
            for job in jobs:
                job.value, job.error = job.work(db), None
            if growing or durable:  # what the others add is little
                self._space.measure(db)  # inside: afterwards it would take a transaction of its own, 0.1 ms
            if growing:
                self._space.check_growth(before)
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            with contextlib.suppress(sqlite3.Error):  # it may be that others have filled the disk
                self._space.measure(db)
            raise

    # On the event loop.

    def _tell(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job.error is None:
                job.then()
                continue
            job.otherwise(job)
            if not isinstance(job.error, SpoolError):
                words = f"The spool's thread failed: {type(job.error).__name__}: {job.error}."
                self.failure = self.failure or SpoolError(words)
            elif not isinstance(job.error, SpoolFull):
                self.failure = self.failure or job.error
        self._changed()
        for job in jobs:
            job.done.set()
