"""Rejected results that a person wants to be sent once more.

Only one connection may write to a spool (SQLite up to 3.51.2 can lose a commit when two do and the write-ahead log
starts over). So the request is left as a file beside it, which the agent's next round of maintenance picks up. It lies
in the spool's own folder, where the agent may remove files whoever made them: root may have left this one.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SpoolError
from agent.log import Log
from agent.spool.journal import Again, due_again
from agent.spool.reader import open_reader
from agent.spool.space import beside

log = Log("spool")

_REQUEST, _UNFINISHED = ".json", ".part"


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """One file: a command's id, or None for all that are rejected."""

    file: Path
    command_id: str | None


def ask(path: Path, command_id: str | None) -> None:
    """Ask the agent that has the spool, or the next one that opens it, to send one rejected result once more, or all.

    Raises:
        SpoolError: there is no spool, nothing to retry, or the request can't be left.
    """
    with open_reader(path) as reader:
        if not reader.retriable(command_id):
            what = "no rejected result" if command_id is None else f"no rejected result of command {command_id}"
            raise SpoolError(f"There is {what} in {path} whose output is still here.")
    file = beside(path, f".retry-{uuid.uuid4().hex}{_UNFINISHED}")
    try:
        file.write_text(json.dumps({"command_id": command_id}))
        file.chmod(0o644)  # the agent may be another user
        file.rename(file.with_suffix(_REQUEST))  # whole or not at all
    except OSError as error:
        raise SpoolError(
            f"The agent can't be asked: {path.parent} can't be written ({error.strerror}).",
            "Run this as the agent's user.",
        ) from error


class RetryRequests:
    """What people have asked of the agent that has the spool at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stuck: set[Path] = set()

    def found(self) -> list[RetryRequest]:
        """Those that haven't come true. What makes no sense is removed."""
        requests = []
        for file in sorted(set(self._path.parent.glob(f"{self._path.name}.retry-*{_REQUEST}")) - self._stuck):
            try:
                command_id = json.loads(file.read_text())["command_id"]
            except (OSError, ValueError, KeyError, TypeError):
                self._remove(file)
                continue
            requests.append(RetryRequest(file, None if command_id is None else str(command_id)))
        return requests

    def done(self, requests: Iterable[RetryRequest]) -> None:
        """These came true."""
        for request in requests:
            self._remove(request.file)

    def _remove(self, file: Path) -> None:
        """One that can't be removed counts once all the same, or its results would be sent again at each upkeep."""
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            self._stuck.add(file)
            log.warning("a request to send again can't be removed, please do", file=str(file), reason=error.strerror)


def retry(db: sqlite3.Connection, requests: Sequence[RetryRequest]) -> list[Again]:
    """Let rejected results be due again whose output is still here."""
    everything = any(request.command_id is None for request in requests)
    return due_again(
        db,
        "state = 'rejected' and output <> 'gone' and (? or commands.command_id in (select value from json_each(?)))",
        everything,
        json.dumps([request.command_id for request in requests]),
    )
