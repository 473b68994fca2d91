"""What tasks wait for: something to do, a result's turn, room on the disk."""

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import trio

from agent.errors import SpoolFull
from agent.log import Log

if TYPE_CHECKING:
    from agent.spool.spool import Spool

T = TypeVar("T")

RETRY_SECONDS = 1.0  # between tries of a write while the disk refuses it


class Signal:
    """What tasks wait for: `ready` says how many of them may go on now, `next_at` when that may change by itself."""

    def __init__(self, ready: Callable[[], int], next_at: Callable[[], float] = lambda: math.inf) -> None:
        self._ready = ready
        self._next_at = next_at
        self._waiters = trio.lowlevel.ParkingLot()

    async def wait(self) -> None:
        """Return once this task may go on. Whoever is woken looks again, so none misses a change."""
        await trio.lowlevel.checkpoint()
        while not self._ready():
            with trio.move_on_at(self._next_at()):
                await self._waiters.park()

    def poke(self) -> bool:
        """Something has changed: wake as many tasks as may go on. False if none was woken."""
        return bool(self._waiters and self._waiters.unpark(count=self._ready()))

    def poke_all(self) -> None:
        """Wake all tasks: they may have to wait for less long."""
        self._waiters.unpark_all()


class Pending:
    """Results that wait for the API, in the order in which they are sent. All are in memory, about 170 bytes each, so
    that whose turn it is needs no search on the disk. `now` is a clock that doesn't jump.
    """

    def __init__(self, sizes: Iterable[tuple[int, int]], now: Callable[[], float]) -> None:
        self.sizes = OrderedDict(sizes)  # by `seq`, the bytes of output; a plain dict is slow to find its first entry
        self._now = now
        self._not_before: dict[int, float] = {}  # those that are being sent or postponed

    @property
    def bytes(self) -> int:
        """The size of all their output."""
        return sum(self.sizes.values())

    def add(self, seq: int, size: int) -> None:
        """Add a result. One that is here already becomes due at once, unless it is being sent."""
        self.sizes[seq] = size
        if not self.is_taken(seq):
            self.release(seq)

    def is_taken(self, seq: int) -> bool:
        """Whether it is being sent."""
        return self._not_before.get(seq) == math.inf

    def take(self, most_bytes: float = math.inf) -> int | None:
        """Take the first that is due, with at most so much output."""
        seq = self.next(most_bytes)
        if seq is not None:
            self._not_before[seq] = math.inf
        return seq

    def next(self, most_bytes: float = math.inf) -> int | None:
        """The one that `take` would return."""
        now = self._now()
        due = (n for n, size in self.sizes.items() if size <= most_bytes and self._not_before.get(n, 0) <= now)
        return next(due, None)

    def next_at(self) -> float:
        """When the next postponed one is due."""
        now = self._now()
        return min((at for at in self._not_before.values() if at > now), default=math.inf)

    def release(self, seq: int) -> None:
        """It is due again."""
        self._not_before.pop(seq, None)

    def postpone(self, seq: int, seconds: float) -> None:
        """It isn't due for a while."""
        self._not_before[seq] = self._now() + seconds

    def remove(self, seq: int) -> int:
        """It is settled. Returns the bytes of its output."""
        self.release(seq)
        return self.sizes.pop(seq)


async def until_written(spool: "Spool", write: Callable[[], Awaitable[T]], log: Log, says: str, **fields: object) -> T:
    """Repeat a write until the disk takes it, even if cancelled. Raises SpoolFull once the spool isn't `patient`."""
    told = False
    while True:
        with trio.CancelScope(shield=True):
            try:
                return await write()
            except SpoolFull as error:
                if not told:
                    log.error(says, reason=str(error), **fields)
                told = True
                if not spool.patient:
                    raise
            await trio.sleep(RETRY_SECONDS)
