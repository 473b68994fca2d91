"""Rejected results that a person wants to be sent once more.

Only one connection may write to a spool (SQLite up to 3.51.2 can lose a commit when two do and the write-ahead log
starts over). So while an agent has it, the wish is left as a file beside it, which the agent's next upkeep picks up.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.spool.journal import due_again
from agent.spool.space import beside


@dataclass(frozen=True, slots=True)
class Wish:
    """One file: a command's id, or None for all that are rejected."""

    file: Path
    command_id: str | None


def requested(path: Path) -> list[Wish]:
    """The wishes beside the spool at `path`. What can't be read is no wish."""
    wishes = []
    for file in sorted(beside(path, ".retry").glob("*.json")):
        try:
            wish = json.loads(file.read_text())
            wishes.append(Wish(file, wish["command_id"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return wishes


def done(path: Path, wishes: Iterable[Wish]) -> None:
    """Forget wishes that came true."""
    del path
    for wish in wishes:
        wish.file.unlink(missing_ok=True)


def retry(db: sqlite3.Connection, wishes: Sequence[Wish]) -> list[tuple[int, int, str]]:
    """Let rejected results be due again whose output is still here.

    Returns:
        `seq`, bytes of output, former state of each.
    """
    everything = any(wish.command_id is None for wish in wishes)
    rows = db.execute(
        "select seq, stdout_bytes + stderr_bytes, state from commands join results using (seq)"
        " where state = 'rejected' and output <> 'gone'"
        " and (? or commands.command_id in (select value from json_each(?)))",
        (everything, json.dumps([wish.command_id for wish in wishes])),
    ).fetchall()
    for seq, *_ in rows:
        due_again(db, seq)
    return [(seq, size, state) for seq, size, state in rows]
