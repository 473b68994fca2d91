"""executed · spooled · delivered · lost: counted from the spool and the API's record, not by the agent's word."""

from collections.abc import Mapping
from dataclasses import dataclass

from demo.record import Record
from demo.story.ledger import Entry

_ON_ITS_WAY_SECONDS = 2.0
"""Between the API's answer and the agent's commit a command is on the wire. After that it should be in the spool."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How things stand."""

    executed: int
    """Commands that have a result."""
    spooled: int
    """Results that wait in the spool to be delivered."""
    delivered: int
    """Results that the API has."""
    running: int
    waiting: int
    """Accepted, but not begun."""
    lost: int
    """Handed out, and now neither in the spool nor answered."""

    @property
    def in_flight(self) -> int:
        """Accepted, and without a result."""
        return self.running + self.waiting

    def __str__(self) -> str:
        counts = {
            "executed": self.executed, "spooled": self.spooled, "delivered": self.delivered, "lost": self.lost,
        }  # fmt: skip
        return " · ".join(f"{name} {count}" for name, count in counts.items())


def count(record: Record, ledger: Mapping[str, Entry], now: float) -> Tally:
    """Count everything that was handed out up to now."""
    handed_out = record.handed_out
    answered = {asked.id for asked in handed_out if asked.answers}
    ended = {command_id for command_id, entry in ledger.items() if entry.ended}
    lost = [
        asked
        for asked in handed_out
        if asked.id not in answered and asked.id not in ledger and now - asked.handed_out[-1].at > _ON_ITS_WAY_SECONDS
    ]
    return Tally(
        executed=len(answered | ended),
        spooled=len(ended - answered),
        delivered=len(answered),
        running=sum(entry.state == "running" for entry in ledger.values()),
        waiting=sum(entry.state == "accepted" for entry in ledger.values()),
        lost=len(lost),
    )
