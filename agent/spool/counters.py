"""What the event loop knows of the spool without asking the disk.

Kept exact by being changed on the event loop in the order of commits, and measured anew at each round of maintenance.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.model import Command, Stream
from agent.spool.text import NOTHING, Written
from agent.spool.values import SMALL_BYTES


@dataclass(frozen=True, slots=True)
class Waiting:
    """An accepted command that nobody has claimed."""

    seq: int
    command: Command
    runs: int
    """How often it was started before, by agents that died."""
    since: float
    """By the machine's uptime, in seconds."""


@dataclass(slots=True)
class Running:
    """A command that runs, and what it has handed in."""

    seq: int
    started_unix_ms: int
    sums: dict[Stream, list[Written]] = field(default_factory=dict)
    """By stream, what is stored up to each piece."""
    lost: bool = False
    """Whether a piece found no room: what comes after it isn't stored either, an output has no holes."""

    def written(self, stream: Stream) -> Written:
        """What was handed in of one stream."""
        return self.sums[stream][-1] if stream in self.sums else NOTHING

    @property
    def bytes(self) -> int:
        """Of output, handed in so far."""
        return sum(sums[-1].bytes for sums in self.sums.values())


@dataclass(frozen=True, slots=True)
class Settlement:
    """The API's verdict on a result, until it is in the file."""

    state: str
    http_status: int | None
    error: str | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """The tables in numbers."""

    pending: int
    small: int
    pending_bytes: int
    rejected: int
    delivered: int


class Pending:
    """Results that aren't delivered. `now` is a clock that doesn't jump."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.count = 0
        self.small = 0
        """Of these, the ones with at most SMALL_BYTES of output."""
        self.bytes = 0
        self.in_flight: dict[int, int] = {}
        """Taken results, with the bytes of their output."""
        self.settled: dict[int, Settlement] = {}
        self._postponed: dict[int, tuple[float, int]] = {}

    def add(self, size: int, count: int = 1) -> None:
        """One more result, or with -1 one less."""
        self.count += count
        self.small += count * (size <= SMALL_BYTES)
        self.bytes += count * size

    def resize(self, seq: int, size: int) -> None:
        """The output of a taken result has another size now."""
        self.add(self.in_flight.get(seq, size), -1)
        self.add(size)
        if seq in self.in_flight:
            self.in_flight[seq] = size

    def postpone(self, seq: int, seconds: float) -> None:
        """A taken result isn't due for a while."""
        self._postponed[seq] = (self._now() + seconds, self.in_flight.pop(seq, 0))

    def hurry(self, seqs: Iterable[int]) -> None:
        """These are due at once."""
        for seq in seqs:
            self._postponed.pop(seq, None)

    def not_due(self) -> dict[int, int]:
        """`seq` of results that aren't to be taken now, with the bytes of their output."""
        now = self._now()
        self._postponed = {seq: entry for seq, entry in self._postponed.items() if entry[0] > now}
        waiting = {seq: size for seq, (_, size) in self._postponed.items()}
        return self.in_flight | waiting | {seq: verdict.bytes for seq, verdict in self.settled.items()}

    def due(self) -> int:
        """How many results can be taken now."""
        return max(0, self.count - len(self.not_due()))

    def due_small(self) -> int:
        """How many small ones."""
        return max(0, self.small - sum(size <= SMALL_BYTES for size in self.not_due().values()))

    def next_due(self) -> float:
        """When the next postponed result can be taken."""
        return min((until for until, _ in self._postponed.values()), default=math.inf)
