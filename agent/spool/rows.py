"""Commands and results as rows: a column for each field, and a checksum over what the API is told."""

import json
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import fields, replace

from agent.model import Command, Outcome, Result, Stream
from agent.spool.text import NOTHING, Written, clean, printable, shown
from agent.spool.values import STREAMS

_RESULT = tuple(field.name for field in fields(Result))


def insert(db: sqlite3.Connection, table: str, /, **columns: object) -> sqlite3.Cursor:
    """Insert one row. One that is there already stays, and nothing is returned."""
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    statement = f"insert into {table} ({names}) values ({places}) on conflict do nothing returning rowid"  # noqa: S608
    return db.execute(statement, tuple(columns.values()))


def storable(command: Command) -> Command:
    """The same command with ids that SQLite can keep. Arguments are kept as JSON, which can hold anything."""
    return replace(
        command,
        id=clean(command.id),
        timeout=None if command.timeout is None else float(command.timeout),
        correlation_id=None if command.correlation_id is None else clean(command.correlation_id),
        session_id=None if command.session_id is None else clean(command.session_id),
    )


def insert_command(db: sqlite3.Connection, command: Command, state: str, now_ms: int) -> int | None:
    """Journal a command and return its `seq`, or None if its id is known."""
    command = storable(command)
    row = insert(
        db,
        "commands",
        command_id=command.id,
        command=shown(command),
        tool=command.tool,
        args=json.dumps(command.args),
        request=json.dumps(command.request),
        timeout_seconds=command.timeout,
        correlation_id=command.correlation_id,
        session_id=command.session_id,
        state=state,
        accepted_unix_ms=now_ms,
        crc32=_command_crc(command),
    ).fetchone()
    return None if row is None else int(row[0])


def read_command(row: sqlite3.Row) -> Command | None:
    """A command from its row, or None if the row isn't what was written."""
    try:
        command = Command(
            row["command_id"],
            tuple(json.loads(row["args"])),
            row["timeout_seconds"],
            row["correlation_id"],
            row["session_id"],
            row["tool"],
            json.loads(row["request"]),
        )
        return command if _command_crc(command) == row["crc32"] else None
    except (TypeError, ValueError):
        return None


def insert_result(
    db: sqlite3.Connection, seq: int, result: Result, now_ms: int, written: Mapping[Stream, Written] | None = None
) -> int:
    """Store the result of a command whose pieces are stored. Returns the bytes of its output."""
    command = db.execute("select command_id, correlation_id, session_id from commands where seq = ?", (seq,)).fetchone()
    result = replace(result, error=None if result.error is None else printable(result.error))
    stdout, stderr = ((written or {}).get(stream, NOTHING) for stream in STREAMS)
    columns = {name: getattr(result, name) for name in _RESULT}
    insert(
        db,
        "results",
        seq=seq,
        command_id=command["command_id"],
        **columns,
        output="whole",
        **sizes(stdout, stderr),
        crc32=result_crc(command, result, stdout, stderr),
        finished_unix_ms=now_ms,
    )
    return stdout.bytes + stderr.bytes


def sizes(*streams: Written) -> dict[str, int]:
    """The columns that say what is stored of both streams."""
    found: dict[str, int] = {}
    for name, written in zip(STREAMS, streams, strict=True):
        found |= {
            f"{name}_bytes": written.bytes,
            f"{name}_json_bytes": written.json_bytes,
            f"{name}_crc32": written.crc,
        }
    return found


def read_result(row: sqlite3.Row) -> tuple[Result, dict[Stream, Written]] | None:
    """A result from its row and its command's, or None if they aren't what was written."""
    try:
        result = Result(**{name: row[name] for name in _RESULT} | {"outcome": Outcome(row["outcome"])})
        result = replace(result, truncated=bool(result.truncated))
        written = {
            name: Written(0, row[f"{name}_bytes"], row[f"{name}_json_bytes"], row[f"{name}_crc32"]) for name in STREAMS
        }
    except (TypeError, ValueError):
        return None
    return (result, written) if row["crc32"] == result_crc(row, result, *written.values()) else None


def result_crc(command: sqlite3.Row, result: Result, *streams: Written) -> int:
    """Over all that the API will be told, and the sizes that are told before. Damage inside a page that SQLite can
    still read shows here alone.
    """
    whose = (command["command_id"], command["correlation_id"], command["session_id"])
    values = [getattr(result, name) for name in _RESULT]
    return _crc(whose, values, [(written.bytes, written.json_bytes, written.crc) for written in streams])


def _command_crc(command: Command) -> int:
    return _crc([getattr(command, field.name) for field in fields(Command)])


def _crc(*parts: object) -> int:
    return zlib.crc32(json.dumps(parts).encode())
