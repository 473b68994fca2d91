"""Looks into a spool from outside, whether its agent is live, stuck or dead, or into a copy. Writes nothing to it."""

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from agent.errors import SpoolError
from agent.model import Stream
from agent.spool.clock import readable
from agent.spool.failure import translate
from agent.spool.journal import EVERY_ID, RETRIABLE
from agent.spool.opening import refuse_foreign
from agent.spool.schema import rows_by_name
from agent.spool.space import beside

Row = dict[str, Any]
"""Column names to values, as the views give them."""


@contextmanager
def open_reader(path: Path) -> Iterator["Reader"]:
    """Open the spool at `path` for reading. Raises SpoolError if there is none or it can't be read."""
    refuse_foreign(path)
    if not path.exists():
        raise SpoolError(
            f"There is no spool at {path}: no agent was started with that path yet, or it is elsewhere.",
            "Name the file, or set KUBENTLY_SPOOL_PATH.",
        )
    # After a clean end there is no log, and then nobody needs to make its index to read the file.
    mode = "mode=ro" if beside(path, "-wal").exists() else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0)) as db:
            rows_by_name(db)
            db.execute("pragma temp_store = memory")
            _refuse_unreadable(path, db)
            yield Reader(path, db)
    except sqlite3.Error as error:  # any other error is the caller's, such as an output that can't be written
        raise translate(error, path) from error


def _refuse_unreadable(path: Path, db: sqlite3.Connection) -> None:
    try:
        (views,) = db.execute("select count(*) from sqlite_schema where name = 'status'").fetchone()
    except sqlite3.OperationalError as error:
        if os.access(path.parent, os.W_OK, effective_ids=True):
            raise
        raise SpoolError(
            f"The spool {path} can't be opened by a user who may not write its folder: the write-ahead log's index is "
            "made there.",
            "Run this as the agent's user, or copy all files of the spool to a folder of your own.",
        ) from error
    if not views:
        problem = f"{path} is a database, but not a spool of this agent."
        raise SpoolError(problem, "Name the file, or set KUBENTLY_SPOOL_PATH.")


class Reader:
    """Made by `open_reader`."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db

    def rows(self, view: str, limit: int) -> list[Row]:
        """Rows of a view: "status", which has one, "backlog", "recent", "stuck" or "slow"."""
        return list(map(dict, self._db.execute(f"select * from {view} limit ?", (limit,))))  # noqa: S608

    def ids(self, beginning: str, limit: int) -> list[str]:
        """Ids that begin with this text, an exact match first."""
        found = self._db.execute(
            "select command_id from commands where command_id >= ? and command_id < ? || char(0x10ffff)"
            " order by command_id limit ?",
            (beginning, beginning, limit),
        )
        return [command_id for (command_id,) in found]

    def show(self, command_id: str) -> Row:
        """All that is known of one command, but for its output. Raises SpoolError if it isn't in the spool."""
        row = self._db.execute(
            "select c.command_id, c.command, c.tool, c.args, c.request, c.timeout_seconds, c.correlation_id,"
            " c.session_id, c.state, c.runs, c.accepted_unix_ms, c.started_unix_ms, r.outcome, r.exit_code, r.error,"
            " r.rule, r.execution_time_ms, r.output_bytes, r.truncated, r.redactions, r.output, r.stdout_bytes,"
            " r.stderr_bytes, r.attempts, r.last_http_status, r.last_error, r.finished_unix_ms, r.settled_unix_ms,"
            " r.next_attempt_unix_ms"
            " from commands c left join results r using (seq) where c.command_id = ?",
            (command_id,),
        ).fetchone()
        if row is None:
            raise SpoolError(
                f"Command {command_id} isn't in the spool {self._path}: it never came here, or it was delivered "
                "so long ago that it was forgotten."
            )
        fields: Row = {}
        for name, value in dict(row).items():
            is_time = name.endswith("_unix_ms") and value is not None
            fields[name.replace("_unix_ms", "_at")] = readable(value) if is_time else value
        return fields

    def retriable(self, command_id: str | None) -> bool:
        """Whether there is a rejected result whose output is still here: that command's, or any."""
        query = f"select 1 from commands join results using (seq) where {RETRIABLE} and ? in (commands.command_id, '')"  # noqa: S608
        return self._db.execute(query, (command_id or "",)).fetchone() is not None

    def pieces(self, command_id: str, stream: Stream) -> Iterator[str]:
        """The output of one stream, piece by piece; of a running command, what there is so far."""
        query = "select text from commands join pieces using (seq) where command_id = ? and stream = ? order by part"
        return (text for (text,) in self._db.execute(query, (command_id, stream)))

    def export(self, to: Path) -> None:
        """Write a consistent copy of everything, as one file. Raises SpoolError if it is there or can't be written."""
        try:
            os.close(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # outputs are for this user alone
            with closing(sqlite3.connect(to)) as copy:
                self._db.backup(copy)
                copy.execute("pragma journal_mode = delete").fetchall()  # one file, readable from anywhere
        except FileExistsError:
            raise SpoolError(f"{to} exists already.", "Name a file that doesn't.") from None
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"The copy {to} can't be written: {error}.") from error


def ask(path: Path, command_id: str | None) -> None:
    """Ask the agent that has the spool, or the next one to open it, to send one rejected result once more, or all.

    Only one connection may write to a spool (SQLite up to 3.51.2 can lose a commit when two do and the write-ahead log
    starts over). So the request is left as a file beside it, which the next round of maintenance picks up. Raises
    SpoolError if there is no spool, nothing to retry, or the request can't be left.
    """
    with open_reader(path) as reader:
        if not reader.retriable(command_id):
            what = "no rejected result" if command_id is None else f"no rejected result of command {command_id}"
            raise SpoolError(f"There is {what} in {path} whose output is still here.")
    file = beside(path, f".retry-{uuid.uuid4().hex}.part")
    try:
        file.write_text(command_id or EVERY_ID)
        file.chmod(0o644)  # the agent may be another user
        file.rename(file.with_suffix(""))  # whole or not at all
    except OSError as error:
        raise SpoolError(
            f"The agent can't be asked: {path.parent} can't be written ({error.strerror}).",
            "Run this as the agent's user.",
        ) from error
