"""What the agent's spool says of each command. It is read from outside, while the agent runs and after it died."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SpoolError
from agent.spool.reader import open_reader

_WAITING, _ENDED = ("accepted", "running"), ("spooled", "delivered", "rejected")


@dataclass(frozen=True, slots=True)
class Entry:
    """One command."""

    state: str
    runs: int
    """How often it was begun."""

    @property
    def unfinished(self) -> bool:
        """It waits or runs."""
        return self.state in _WAITING

    @property
    def ended(self) -> bool:
        """It has a result."""
        return self.state in _ENDED


def read_ledger(path: Path, command_ids: Iterable[str]) -> dict[str, Entry]:
    """Those of the commands that the spool knows."""
    entries = {}
    try:
        with open_reader(path) as reader:
            for command_id in command_ids:
                try:
                    fields = reader.show(command_id).fields
                except SpoolError:  # not accepted yet
                    continue
                entries[command_id] = Entry(fields["state"], fields["runs"])
    except SpoolError:  # no agent has been here yet
        return {}
    return entries
