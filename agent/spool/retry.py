"""Rejected results that a person wants to be sent once more.

Only one connection may write to a spool (SQLite up to 3.51.2 can lose a commit when two do and the write-ahead log
starts over). So while an agent has it, the wish is left as a file beside it, which the agent's next upkeep picks up.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agent.errors import SpoolError
from agent.spool.failure import translate
from agent.spool.journal import due_again
from agent.spool.lock import SpoolLock, is_held
from agent.spool.space import beside

_FOLDER = ".retry"


class Retried(StrEnum):
    """What became of a wish."""

    DONE = "done"
    """The results are due; they are sent when an agent is started."""
    ASKED = "asked"
    """The agent that has the spool is told, and sees to it within a minute."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One file: a command's id, or None for all that are rejected."""

    file: Path
    command_id: str | None


def ask(path: Path, command_id: str | None) -> Retried:
    """Let one rejected result, or all of them, be sent once more.

    Raises:
        SpoolError: there is no spool, it can't be written, or there is nothing to retry.
    """
    if not path.exists():
        raise SpoolError(f"There is no spool at {path}. Name it with KUBENTLY_SPOOL_PATH.")
    if is_held(path):
        _leave(path, command_id)
        return Retried.ASKED
    with SpoolLock(path) as lock, closing(sqlite3.connect(path, isolation_level=None)) as db:
        try:
            db.execute("pragma synchronous = full")
            db.execute("begin immediate")
            again = retry(db, [Wish(path, command_id)])
            db.execute("commit")
            lock.write("closing")
        except sqlite3.Error as error:
            raise translate(error, path) from error
    if not again:
        what = "no rejected result" if command_id is None else f"no rejected result of command {command_id}"
        raise SpoolError(f"There is {what} in {path} whose output is still here.")
    return Retried.DONE


def _leave(path: Path, command_id: str | None) -> None:
    folder = beside(path, _FOLDER)
    try:
        folder.mkdir(exist_ok=True)
        file = folder / f"{uuid.uuid4().hex}.part"
        file.write_text(json.dumps({"command_id": command_id}))
        file.rename(file.with_suffix(".json"))  # whole or not at all
    except OSError as error:
        raise SpoolError(
            f"The agent can't be asked: {folder} can't be written ({error.strerror}). Run this as the agent's user."
        ) from error


def requested(path: Path) -> list[Wish]:
    """The wishes beside the spool at `path`. What makes no sense is deleted."""
    wishes = []
    for file in sorted(beside(path, _FOLDER).glob("*.json")):
        try:
            command_id = json.loads(file.read_text())["command_id"]
        except (OSError, ValueError, KeyError, TypeError):
            file.unlink(missing_ok=True)
            continue
        wishes.append(Wish(file, None if command_id is None else str(command_id)))
    return wishes


def done(wishes: Iterable[Wish]) -> None:
    """Forget wishes that came true."""
    for wish in wishes:
        wish.file.unlink(missing_ok=True)


def retry(db: sqlite3.Connection, wishes: Sequence[Wish]) -> list[tuple[int, int, str]]:
    """Let rejected results be due again whose output is still here. Returns `seq`, bytes and former state of each."""
    everything = any(wish.command_id is None for wish in wishes)
    rows: list[tuple[int, int, str]] = db.execute(
        "select seq, stdout_bytes + stderr_bytes, state from commands join results using (seq)"
        " where state = 'rejected' and output <> 'gone'"
        " and (? or commands.command_id in (select value from json_each(?)))",
        (everything, json.dumps([wish.command_id for wish in wishes])),
    ).fetchall()
    for seq, *_ in rows:
        due_again(db, seq)
    return rows
