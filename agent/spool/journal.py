"""Commands on disk: taken, run, ended. Functions of the database, to be run inside a transaction."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.model import Command, Malformed, Outcome, Result, Stream
from agent.spool.clock import Stamp
from agent.spool.failure import MISSING_ROW, Broken
from agent.spool.text import Written, clean, command_crc, result_crc

STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class Accepted:
    """What accepting did: ids as given, and what of it changes the counts."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    again: tuple[tuple[int, int, str], ...]
    """Known results that are due again: `seq`, bytes of output, and the state that they had."""


def accept(db: sqlite3.Connection, commands: Sequence[Command], now: Stamp) -> Accepted:
    """Take commands whose id is new; let known results be sent once more where there is something left to send."""
    new: list[str] = []
    known: list[str] = []
    again: list[tuple[int, int, str]] = []
    for command in commands:
        if insert_command(db, command, "accepted", now) is not None:
            new.append(command.id)
            continue
        known.append(command.id)
        if (due := _due_again(db, clean(command.id))) is not None:
            again.append(due)
    return Accepted(tuple(new), tuple(known), tuple(again))


def insert_command(db: sqlite3.Connection, command: Command, state: str, now: Stamp) -> int | None:
    """Journal a command and return its `seq`, or None if its id is known."""
    command = storable(command)
    row = db.execute(
        "insert into commands (command_id, args, timeout_seconds, correlation_id, session_id, state,"
        " accepted_unix_ms, boot, accepted_uptime_ms, crc32) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " on conflict (command_id) do nothing returning seq",
        (
            command.id,
            json.dumps(command.args),
            command.timeout,
            command.correlation_id,
            command.session_id,
            state,
            now.unix_ms,
            now.boot,
            now.uptime_ms,
            command_crc(command),
        ),
    ).fetchone()
    return None if row is None else int(row[0])


def storable(command: Command) -> Command:
    """The same command with ids that SQLite can keep. Arguments are kept as JSON, which can hold anything."""
    return Command(
        clean(command.id),
        tuple(command.args),
        None if command.timeout is None else float(command.timeout),
        None if command.correlation_id is None else clean(command.correlation_id),
        None if command.session_id is None else clean(command.session_id),
    )


def _due_again(db: sqlite3.Connection, command_id: str) -> tuple[int, int, str] | None:
    row = db.execute(
        "select seq, state, output, stdout_bytes + stderr_bytes from commands join results using (seq)"
        " where commands.command_id = ?",
        (command_id,),
    ).fetchone()
    if row is None or row[2] == "gone":
        return None
    seq, state, _, stored = row
    due_again(db, seq)
    return seq, stored, state


def due_again(db: sqlite3.Connection, seq: int) -> None:
    """Let a result be sent once more."""
    db.execute("update commands set state = 'spooled' where seq = ?", (seq,))
    db.execute("update results set output = 'whole', next_attempt_unix_ms = null where seq = ?", (seq,))


def answer(
    db: sqlite3.Connection, command: Command | Malformed, result: Result, now: Stamp
) -> tuple[int | None, Accepted]:
    """Journal a command that never runs, with its result. A known id is treated as when accepting.

    Returns:
        Its `seq` if it is new, and what became of it else.
    """
    if isinstance(command, Malformed):
        command = Command(command.id, (), None, command.correlation_id, command.session_id)
    seq = insert_command(db, command, "spooled", now)
    if seq is None:
        return None, accept(db, [command], now)
    insert_result(db, seq, clean(command.id), result, {}, now)
    return seq, Accepted((command.id,), (), ())


def claim(db: sqlite3.Connection, now: Stamp) -> tuple[int, Command | None, int, Stamp] | None:
    """Start the oldest accepted command.

    Returns:
        `seq`, the command (None if its row is damaged), which run this is, and when it was accepted.
    """
    row = db.execute(
        "update commands set state = 'running', runs = runs + 1, started_unix_ms = ?"
        " where seq = (select min(seq) from commands where state = 'accepted')"
        " returning seq, command_id, args, timeout_seconds, correlation_id, session_id, runs,"
        " accepted_unix_ms, boot, accepted_uptime_ms, crc32",
        (now.unix_ms,),
    ).fetchone()
    if row is None:
        if db.execute("select min(seq) from commands where state = 'accepted'").fetchone() != (None,):
            raise Broken(MISSING_ROW)
        return None
    seq, command_id, args, timeout, correlation_id, session_id, runs, *stamp, crc = row
    command = read_command(command_id, args, timeout, correlation_id, session_id, crc)
    return seq, command, runs, Stamp(*stamp)


def read_command(
    command_id: str, args: str, timeout: float | None, correlation_id: str | None, session_id: str | None, crc: int
) -> Command | None:
    """A command from its row, or None if the row isn't what was written."""
    try:
        seconds = None if timeout is None else float(timeout)  # `returning` gives 5 for 5.0
        command = Command(command_id, tuple(json.loads(args)), seconds, correlation_id, session_id)
        return command if command_crc(command) == crc else None
    except (TypeError, ValueError):
        return None


def append(db: sqlite3.Connection, seq: int, stream: Stream, part: int, text: str) -> None:
    """Store one more piece of output."""
    db.execute("insert into pieces (seq, stream, part, text) values (?, ?, ?, ?)", (seq, stream, part, text))


def finish(
    db: sqlite3.Connection,
    seq: int,
    result: Result,
    tail: Sequence[tuple[Stream, str]],
    written: Mapping[Stream, Written],
    now: Stamp,
) -> int | None:
    """Store the rest of the output and the result, and let it be sent.

    Returns:
        Bytes of stored output, or None if the command has a result already: a second one is never kept.
    """
    row = db.execute(
        "update commands set state = 'spooled' where seq = ? and state = 'running' returning command_id", (seq,)
    ).fetchone()
    if row is None:
        return None
    sums = dict(written)
    for stream, text in tail:
        before = sums.get(stream, Written())
        append(db, seq, stream, before.parts, text)
        sums[stream] = before.plus(text)
    return insert_result(db, seq, row[0], result, sums, now)


def insert_result(
    db: sqlite3.Connection,
    seq: int,
    command_id: str,
    result: Result,
    written: Mapping[Stream, Written],
    now: Stamp,
) -> int:
    """Store a result whose pieces are stored. Returns the bytes of its output."""
    stdout, stderr = (written.get(stream, Written()) for stream in STREAMS)
    error = None if result.error is None else clean(result.error)
    db.execute(
        "insert into results (seq, command_id, outcome, exit_code, error, rule, execution_time_ms, output_bytes,"
        " truncated, output, stdout_bytes, stderr_bytes, stdout_json_bytes, stderr_json_bytes, crc32,"
        " finished_unix_ms, finished_boot, finished_uptime_ms)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'whole', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            seq,
            command_id,
            result.outcome.value,
            result.exit_code,
            error,
            result.rule,
            result.execution_time_ms,
            result.output_bytes,
            result.truncated,
            stdout.bytes,
            stderr.bytes,
            stdout.json_bytes,
            stderr.json_bytes,
            result_crc(command_id, _with_error(result, error), stdout, stderr),
            now.unix_ms,
            now.boot,
            now.uptime_ms,
        ),
    )
    return stdout.bytes + stderr.bytes


def _with_error(result: Result, error: str | None) -> Result:
    return Result(
        result.outcome,
        result.exit_code,
        error,
        result.execution_time_ms,
        result.output_bytes,
        result.truncated,
        result.rule,
    )


def replace_result(db: sqlite3.Connection, seq: int, command_id: str, sentence: str, now: Stamp) -> None:
    """Put an error result in the place of one that is damaged or was lost."""
    db.execute("delete from pieces where seq = ?", (seq,))
    row = db.execute("delete from results where seq = ? returning attempts", (seq,)).fetchone()
    insert_result(db, seq, command_id, Result(Outcome.DAMAGED, error=sentence), {}, now)
    if row is not None:
        db.execute("update results set attempts = ? where seq = ?", (row[0], seq))
