"""Rejected results that a person wants to be sent once more.

Only one connection may write to a spool (SQLite up to 3.51.2 can lose a commit when two do and the write-ahead log
starts over). So the request is left as a file beside it, which the agent's next round of maintenance picks up. It lies
in the spool's own folder, where the agent may remove files whoever made them: root may have left this one.
"""

import json
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path

from agent.errors import SpoolError
from agent.log import Log
from agent.spool.journal import due_again
from agent.spool.reader import RETRIABLE, open_reader
from agent.spool.space import beside

log = Log("spool")

EVERYTHING = ""
"""In a request in the place of an id."""


def ask(path: Path, command_id: str | None) -> None:
    """Ask the agent that has the spool, or the next one that opens it, to send one rejected result once more, or all.

    Raises:
        SpoolError: there is no spool, nothing to retry, or the request can't be left.
    """
    with open_reader(path) as reader:
        if not reader.retriable(command_id):
            what = "no rejected result" if command_id is None else f"no rejected result of command {command_id}"
            raise SpoolError(f"There is {what} in {path} whose output is still here.")
    file = beside(path, f".retry-{uuid.uuid4().hex}.part")
    try:
        file.write_text(command_id or EVERYTHING)
        file.chmod(0o644)  # the agent may be another user
        file.rename(file.with_suffix(""))  # whole or not at all
    except OSError as error:
        raise SpoolError(
            f"The agent can't be asked: {path.parent} can't be written ({error.strerror}).",
            "Run this as the agent's user.",
        ) from error


def take_requests(path: Path) -> list[str]:
    """The ids that people have asked the agent for that has the spool at `path`. One that can't be removed doesn't
    count: it would come true again and again.
    """
    ids = []
    for file in path.parent.glob(f"{path.name}.retry-*"):
        if file.suffix != ".part":
            try:
                text = file.read_text(errors="replace")
                file.unlink()
                ids.append(text)
            except OSError as error:
                log.warning("a request to send again can't be removed, please do", file=str(file), reason=str(error))
    return ids


def retry(db: sqlite3.Connection, ids: Sequence[str]) -> list[tuple[int, int]]:
    """Let rejected results be due again whose output is still here."""
    which = f"{RETRIABLE} and (? or commands.command_id in (select value from json_each(?)))"  # noqa: S608
    return due_again(db, which, EVERYTHING in ids, json.dumps(ids))
