"""What all sides of the spool share: the writer, the counts, the room."""

import sqlite3
from collections import deque
from typing import TYPE_CHECKING

import trio

from agent.log import Log
from agent.spool.clock import Clock
from agent.spool.retry import Wishes
from agent.spool.signals import Signal
from agent.spool.space import Space
from agent.spool.tally import Tally
from agent.spool.values import Claim, Limits, Recovery
from agent.spool.writer import Writer

if TYPE_CHECKING:
    from agent.spool.outbox import Due


class Core:
    """The state of an open spool."""

    recovery: Recovery

    def __init__(self, connection: sqlite3.Connection, space: Space, limits: Limits, clock: Clock) -> None:
        self._space = space
        self._limits = limits
        self._clock = clock
        self._log = Log("spool")
        self._tally = Tally(trio.current_time)
        self._taking = trio.Lock()
        self._wishes = Wishes(space.path)
        self._started: deque[Claim] = deque()
        """Commands that were started as they were accepted, for whoever claims next."""
        self._taken: deque[Due] = deque()
        """Results whose attempt was counted as they were finished, for whoever takes next."""
        self.work = Signal(lambda: len(self._started) + self._tally.claimable * self._may_claim)
        """Wakes executors: a command can be claimed."""
        self.due = Signal(lambda: len(self._taken) + self._tally.due, self._tally.next_due)
        """Wakes uploaders: a result can be taken."""
        self.space = Signal(lambda: self.room > 0)
        """Wakes the poller: commands can be accepted."""
        self._writer = Writer(connection, space, self._changed)

    @property
    def room(self) -> int:
        """How many more commands may be accepted now: each must find room for its output beside the unfinished ones."""
        in_journal = self._limits.journal - self._tally.unfinished
        on_disk = self._free_bytes // self._space.reserve_bytes - self._tally.accepted
        return max(0, min(in_journal, on_disk))

    @property
    def pending(self) -> int:
        """How many results aren't delivered yet."""
        return self._tally.spooled - len(self._tally.unrecorded)

    @property
    def output_bytes(self) -> int:
        """How much output of one command is sure to find room."""
        return self._space.output_bytes

    @property
    def _free_bytes(self) -> int:
        """Beyond what the running commands may still need."""
        return self._space.free_bytes - self._tally.reserved(self._space.reserve_bytes)

    @property
    def _next_output_bytes(self) -> int:
        """How much output the next command that is started is sure to find room for."""
        beside = self._space.reserve_bytes - self._space.output_bytes
        return max(0, min(self._space.output_bytes, self._free_bytes - beside))

    @property
    def _may_claim(self) -> bool:
        """Whether there is something to run and room for its output, or nothing else that could make room."""
        tally = self._tally
        alone = tally.running + tally.claiming + tally.spooled == 0
        return tally.claimable > 0 and (alone or self._free_bytes >= self._space.reserve_bytes)

    def _changed(self) -> None:
        self.work.poke()
        self.due.poke()
        self.space.poke()
