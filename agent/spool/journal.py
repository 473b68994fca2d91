"""Commands on disk: taken, run, ended. Functions of the database, to be run inside a transaction."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.model import Command, Malformed, Outcome, Result, Stream
from agent.spool.text import NOTHING, Written, clean, command_crc, printable, result_crc, shown
from agent.spool.values import STREAMS

COMMAND = "command_id, tool, args, request, timeout_seconds, correlation_id, session_id, crc32"
"""The columns that make a command, in the order that `read_command` takes."""


@dataclass(frozen=True, slots=True)
class Again:
    """A known result that is due once more."""

    seq: int
    bytes: int
    state: str
    """The state that it had."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What accepting did, and what of it changes the counts."""

    new: tuple[tuple[int, Command], ...] = ()
    """With their `seq`."""
    known: tuple[str, ...] = ()
    """Ids as given."""
    again: tuple[Again, ...] = ()


def accept(db: sqlite3.Connection, commands: Sequence[Command], now_ms: int) -> Accepted:
    """Take commands whose id is new; let known results be sent once more where there is something left to send."""
    new: list[tuple[int, Command]] = []
    known: list[str] = []
    again: list[Again] = []
    for command in commands:
        if (seq := insert_command(db, command, "accepted", now_ms)) is not None:
            new.append((seq, command))
            continue
        known.append(command.id)
        again += _due_again(db, clean(command.id))
    return Accepted(tuple(new), tuple(known), tuple(again))


def insert_command(db: sqlite3.Connection, command: Command, state: str, now_ms: int) -> int | None:
    """Journal a command and return its `seq`, or None if its id is known."""
    command = storable(command)
    row = db.execute(
        f"insert into commands (command, state, accepted_unix_ms, {COMMAND})"  # noqa: S608  # this file's own names
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (command_id) do nothing returning seq",
        (
            shown(command),
            state,
            now_ms,
            command.id,
            command.tool,
            json.dumps(command.args),
            None if command.request is None else json.dumps(command.request),
            command.timeout,
            command.correlation_id,
            command.session_id,
            command_crc(command),
        ),
    ).fetchone()
    return None if row is None else int(row[0])


def storable(command: Command) -> Command:
    """The same command with ids that SQLite can keep. Arguments are kept as JSON, which can hold anything."""
    return replace(
        command,
        id=clean(command.id),
        tool=clean(command.tool),
        timeout=None if command.timeout is None else float(command.timeout),
        correlation_id=None if command.correlation_id is None else clean(command.correlation_id),
        session_id=None if command.session_id is None else clean(command.session_id),
    )


def _due_again(db: sqlite3.Connection, command_id: str) -> list[Again]:
    rows = db.execute(
        "select seq, stdout_bytes + stderr_bytes, state from commands join results using (seq)"
        " where commands.command_id = ? and output <> 'gone'",
        (command_id,),
    ).fetchall()
    for seq, *_ in rows:
        due_again(db, seq)
    return [Again(*row) for row in rows]


def due_again(db: sqlite3.Connection, seq: int) -> None:
    """Let a result be sent once more."""
    db.execute("update commands set state = 'spooled' where seq = ?", (seq,))
    db.execute("update results set output = 'whole', next_attempt_unix_ms = null where seq = ?", (seq,))


def answer(db: sqlite3.Connection, command: Command | Malformed, result: Result, now_ms: int) -> Accepted:
    """Journal a command that never runs, with its result. A known id is treated as when accepting."""
    if isinstance(command, Malformed):
        command = Command(command.id, (), None, command.correlation_id, command.session_id)
    seq = insert_command(db, command, "spooled", now_ms)
    if seq is None:
        return accept(db, [command], now_ms)
    insert_result(db, seq, clean(command.id), result, {}, now_ms)
    return Accepted(((seq, command),))


def start(db: sqlite3.Connection, seq: int, now_ms: int) -> None:
    """A command runs. For people, and for the agent that comes after a crash."""
    db.execute(
        "update commands set state = 'running', runs = runs + 1, started_unix_ms = ?"
        " where seq = ? and state = 'accepted'",
        (now_ms, seq),
    )


def read_command(
    command_id: str,
    tool: str,
    args: str,
    request: str | None,
    timeout: float | None,
    correlation_id: str | None,
    session_id: str | None,
    crc: int,
) -> Command | None:
    """A command from its row, or None if the row isn't what was written."""
    try:
        parameters = None if request is None else json.loads(request)
        command = Command(command_id, tuple(json.loads(args)), timeout, correlation_id, session_id, tool, parameters)
        return command if command_crc(command) == crc else None
    except (TypeError, ValueError):
        return None


def append(db: sqlite3.Connection, seq: int, stream: Stream, part: int, text: str) -> None:
    """Store one more piece of output."""
    db.execute("insert into pieces (seq, stream, part, text) values (?, ?, ?, ?)", (seq, stream, part, text))


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended: what `finish` needs to know."""

    result: Result
    sums: Mapping[Stream, Sequence[Written]]
    """What was handed in of each stream, up to each piece."""
    tail: Sequence[tuple[Stream, str]]
    """The pieces that weren't."""
    started_unix_ms: int


def finish(db: sqlite3.Connection, seq: int, ending: Ending, now_ms: int) -> int | None:
    """Store the rest of the output and the result, and let it be sent.

    Returns:
        Bytes of stored output, or None if the command has a result already: a second one is never kept.
    """
    row = db.execute(
        "update commands set state = 'spooled', started_unix_ms = ? where seq = ? and state in ('accepted', 'running')"
        " returning command_id",
        (ending.started_unix_ms, seq),
    ).fetchone()
    if row is None:
        return None
    written = {stream: _stored(db, seq, stream, sums) for stream, sums in ending.sums.items()}
    lost = any(written[stream] is not sums[-1] for stream, sums in ending.sums.items())
    for stream, text in () if lost else ending.tail:
        before = written.get(stream, NOTHING)
        append(db, seq, stream, before.parts, text)
        written[stream] = before.plus(text)
    return insert_result(
        db, seq, row[0], replace(ending.result, truncated=ending.result.truncated or lost), written, now_ms
    )


def _stored(db: sqlite3.Connection, seq: int, stream: Stream, sums: Sequence[Written]) -> Written:
    """What is here of the pieces that were handed in: a full disk may have refused some. What follows a hole goes."""
    parts = [
        part
        for (part,) in db.execute("select part from pieces where seq = ? and stream = ? order by part", (seq, stream))
    ]
    whole = next((n for n, part in enumerate(parts) if n != part), len(parts))
    if whole == len(sums):
        return sums[-1]
    db.execute("delete from pieces where seq = ? and stream = ? and part >= ?", (seq, stream, whole))
    return sums[whole - 1] if whole else NOTHING


def insert_result(
    db: sqlite3.Connection,
    seq: int,
    command_id: str,
    result: Result,
    written: Mapping[Stream, Written],
    now_ms: int,
) -> int:
    """Store a result whose pieces are stored. Returns the bytes of its output."""
    stdout, stderr = (written.get(stream, NOTHING) for stream in STREAMS)
    result = replace(result, error=None if result.error is None else printable(result.error))
    trace = db.execute("select correlation_id, session_id from commands where seq = ?", (seq,)).fetchone()
    db.execute(
        "insert into results (seq, command_id, outcome, exit_code, error, rule, execution_time_ms, output_bytes,"
        " truncated, redactions, output, stdout_bytes, stderr_bytes, stdout_json_bytes, stderr_json_bytes,"
        " stdout_crc32, stderr_crc32, crc32, finished_unix_ms)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'whole', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            seq,
            command_id,
            result.outcome.value,
            result.exit_code,
            result.error,
            result.rule,
            result.execution_time_ms,
            result.output_bytes,
            result.truncated,
            result.redactions,
            stdout.bytes,
            stderr.bytes,
            stdout.json_bytes,
            stderr.json_bytes,
            stdout.crc,
            stderr.crc,
            result_crc(command_id, result, trace, stdout, stderr),
            now_ms,
        ),
    )
    return stdout.bytes + stderr.bytes


def replace_result(db: sqlite3.Connection, seq: int, command_id: str, sentence: str, now_ms: int) -> None:
    """Put an error result in the place of one that is damaged or was lost."""
    db.execute("delete from pieces where seq = ?", (seq,))
    row = db.execute("delete from results where seq = ? returning attempts", (seq,)).fetchone()
    insert_result(db, seq, command_id, Result(Outcome.DAMAGED, error=sentence), {}, now_ms)
    if row is not None:
        db.execute("update results set attempts = ? where seq = ?", (row[0], seq))
