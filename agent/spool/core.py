"""What all sides of the spool share: the writer, the counts, the room."""

import sqlite3

import trio

from agent.log import Log
from agent.spool.clock import Clock
from agent.spool.signals import Signal
from agent.spool.space import Space
from agent.spool.tally import Tally
from agent.spool.values import Limits, Recovery
from agent.spool.writer import Writer


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
        self._reserve = space.plan.reserve(limits.output_bytes)
        self.work = Signal(lambda: self._may_claim)
        """Wakes executors: a command can be claimed."""
        self.due = Signal(lambda: self._tally.has_due, self._tally.next_due)
        """Wakes uploaders: a result can be taken."""
        self.space = Signal(lambda: self.room > 0)
        """Wakes the poller: commands can be accepted."""
        self._writer = Writer(connection, space, self._changed)

    @property
    def room(self) -> int:
        """How many more commands may be accepted now: each must find room for its output beside the unfinished ones."""
        in_journal = self._limits.journal - self._tally.unfinished
        on_disk = self._free_bytes // self._reserve - self._tally.accepted
        return max(0, min(in_journal, on_disk))

    @property
    def pending(self) -> int:
        """How many results aren't delivered yet."""
        return self._tally.spooled - len(self._tally.unrecorded)

    @property
    def output_bytes(self) -> int:
        """How much output of one command is sure to find room."""
        return self._space.plan.output_bytes(self._limits.output_bytes)

    @property
    def _free_bytes(self) -> int:
        """Beyond what the running commands may still need."""
        return self._space.free_bytes - self._tally.reserved(self._reserve)

    @property
    def _may_claim(self) -> bool:
        return self._tally.claimable > 0 and self._free_bytes >= self._reserve

    def _changed(self) -> None:
        self.work.poke()
        self.due.poke()
        self.space.poke()
