"""The spool's state in the event loop's memory: what can be known without asking the disk.

Kept exact by being changed on the event loop in the order of commits, and measured anew at each upkeep.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.model import Stream
from agent.spool.text import Written
from agent.spool.upkeep import Measured


@dataclass(slots=True)
class Run:
    """A command that is running, and what it has written."""

    seq: int
    written: dict[Stream, Written] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of output, stored so far."""
        return sum(written.bytes for written in self.written.values())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the API said of a result, while it can't be written down."""

    state: str
    status: int | None
    words: str | None


class Tally:
    """Counts, runs, and results that aren't due just now."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.accepted = 0
        self.claiming = 0
        """Claims under way."""
        self.spooled = 0
        self.spooled_bytes = 0
        self.rejected = 0
        self.delivered = 0
        self.kept_bytes = 0
        self.running = 0
        self.runs: dict[str, Run] = {}
        self.in_flight: dict[int, int] = {}
        """Taken results, with the bytes of their output."""
        self.postponed: dict[int, float] = {}
        """Until when, by a clock that doesn't jump."""
        self.unrecorded: dict[int, Verdict] = {}
        self.handing: set[int] = set()
        """Results that will be in flight with the commit that makes them."""

    def measured(self, measured: Measured) -> None:
        """Take over what was counted on disk."""
        self.accepted = measured.accepted
        self.running = measured.running
        self.spooled = measured.spooled
        self.spooled_bytes = measured.spooled_bytes
        self.rejected = measured.rejected
        self.delivered = measured.delivered
        self.kept_bytes = measured.kept_bytes

    @property
    def unfinished(self) -> int:
        """Commands that wait or run."""
        return self.accepted + self.running

    @property
    def claimable(self) -> int:
        """Commands that wait and that nobody is about to start."""
        return self.accepted - self.claiming

    def spool(self, count: int, size: int) -> None:
        """So many more results wait to be sent."""
        self.spooled += count
        self.spooled_bytes += size

    def again(self, results: Iterable[tuple[int, int, str]]) -> None:
        """Known results are due again: `seq`, bytes, former state."""
        for seq, size, state in results:
            self.postponed.pop(seq, None)
            if state == "spooled":
                continue
            self.spool(1, size)
            if state == "rejected":
                self.rejected -= 1
            else:
                self.delivered -= 1

    def settle(self, seq: int, size: int, state: str) -> None:
        """A result waits no more."""
        self.spool(-1, -size)
        self.postponed.pop(seq, None)
        if state == "rejected":
            self.rejected += 1
        else:
            self.delivered += 1

    def not_due(self) -> set[int]:
        """`seq` of results that aren't to be sent now."""
        now = self._now()
        self.postponed = {seq: until for seq, until in self.postponed.items() if until > now}
        return self.in_flight.keys() | self.postponed.keys() | self.unrecorded.keys()

    @property
    def due(self) -> int:
        """How many results can be taken now."""
        return max(0, self.spooled - len(self.not_due()))

    def next_due(self) -> float:
        """When the next postponed result can be taken."""
        return min(self.postponed.values(), default=math.inf)

    def reserved(self, each: int) -> int:
        """Room that the running commands may still need."""
        return sum(max(0, each - run.bytes) for run in self.runs.values())
