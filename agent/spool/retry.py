"""Rejected results that a person wants to be sent once more.

Only one connection may write to a spool (SQLite up to 3.51.2 can lose a commit when two do and the write-ahead log
starts over). So while an agent has it, the wish is left as a file beside it, which the agent's next upkeep picks up.
It lies in the spool's own folder, where the agent may remove files whoever made them: root may have left this one.
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
from agent.log import Log
from agent.spool.failure import missing, translate
from agent.spool.journal import due_again
from agent.spool.lock import SpoolLock, is_held
from agent.spool.space import beside

log = Log("spool")

_WISH, _UNFINISHED = ".json", ".part"


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
        raise missing(path)
    if is_held(path):
        _leave(path, command_id)
        return Retried.ASKED
    with SpoolLock(path) as lock, closing(sqlite3.connect(path, isolation_level=None)) as db:
        try:
            db.execute("pragma synchronous = full")
            db.execute("begin immediate")
            again = retry(db, [Wish(path, command_id)])
            db.execute("commit")
            if not lock.was_suspect:
                lock.write("closing")
        except sqlite3.Error as error:
            raise translate(error, path) from error
    if not again:
        what = "no rejected result" if command_id is None else f"no rejected result of command {command_id}"
        raise SpoolError(f"There is {what} in {path} whose output is still here.")
    return Retried.DONE


def _leave(path: Path, command_id: str | None) -> None:
    file = beside(path, f".retry-{uuid.uuid4().hex}{_UNFINISHED}")
    try:
        file.write_text(json.dumps({"command_id": command_id}))
        file.chmod(0o644)  # the agent may be another user
        file.rename(file.with_suffix(_WISH))  # whole or not at all
    except OSError as error:
        raise SpoolError(
            f"The agent can't be asked: {path.parent} can't be written ({error.strerror}). "
            "Run this as the agent's user."
        ) from error


class Wishes:
    """What people have asked of the agent that has the spool at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stuck: set[Path] = set()

    def found(self) -> list[Wish]:
        """Those that haven't come true. What makes no sense is removed."""
        wishes = []
        for file in sorted(set(self._path.parent.glob(f"{self._path.name}.retry-*{_WISH}")) - self._stuck):
            try:
                command_id = json.loads(file.read_text())["command_id"]
            except (OSError, ValueError, KeyError, TypeError):
                self._remove(file)
                continue
            wishes.append(Wish(file, None if command_id is None else str(command_id)))
        return wishes

    def done(self, wishes: Iterable[Wish]) -> None:
        """These came true."""
        for wish in wishes:
            self._remove(wish.file)

    def _remove(self, file: Path) -> None:
        """One that can't be removed counts once all the same, or its results would be sent again at each upkeep."""
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            self._stuck.add(file)
            log.warning("a wish to send again can't be removed, please do", file=str(file), reason=error.strerror)


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
