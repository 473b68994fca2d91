"""What the agent's spool says of each command. It is read from outside, by plain SQL, as people do."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One command."""

    state: str
    runs: int
    """How often it was begun."""

    @property
    def unfinished(self) -> bool:
        """It waits or runs."""
        return self.state in {"accepted", "running"}


def read_ledger(path: Path) -> dict[str, Entry]:
    """All commands that the spool knows, by id."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as spool:
            rows = spool.execute("select command_id, state, runs from commands").fetchall()
    except sqlite3.OperationalError:  # no agent has been here yet
        return {}
    return {command_id: Entry(state, runs) for command_id, state, runs in rows}
