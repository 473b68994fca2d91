"""Results on disk: due, sent, settled. Functions of the database, to be run inside a transaction."""

# ruff: noqa: S608  # what is put into these statements is this file's own

import json
import sqlite3
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from agent.model import PIECE_BYTES, Outcome, Result, Stream
from agent.spool.clock import Stamp
from agent.spool.failure import MISSING_ROW, Broken
from agent.spool.journal import STREAMS, read_command
from agent.spool.text import Written, clean, prefix, result_crc
from agent.spool.values import Output

HELD_BYTES = 32 * 1024
"""Up to this size an output comes with its result. A few are in memory at a time."""

_NO_TIME_MS = 253_402_300_800_000  # the year 10000
_OUTCOMES = frozenset(outcome.value for outcome in Outcome)
_COLUMNS = (
    "r.seq, r.command_id, r.outcome, r.exit_code, r.error, r.execution_time_ms, r.output_bytes, r.truncated, r.rule,"
    " r.attempts, r.stdout_bytes, r.stderr_bytes, r.stdout_json_bytes, r.stderr_json_bytes, r.crc32,"
    " c.started_unix_ms, c.correlation_id, c.session_id, c.args, c.timeout_seconds, c.crc32"
)


@dataclass(frozen=True, slots=True)
class Due:
    """A result as it is stored."""

    seq: int
    command_id: str
    result: Result
    attempts: int
    correlation_id: str | None
    session_id: str | None
    executed_at: float | None
    output: Mapping[Stream, Output]
    crc: int
    whole: bool | None
    """Whether the checksum is right; None if the output is too large to look at here."""

    @property
    def bytes(self) -> int:
        """Of stored output."""
        return sum(output.bytes for output in self.output.values())


def due(db: sqlite3.Connection, limit: int, without: Collection[int], *, record: bool) -> list[Due]:
    """The oldest results to be sent.

    `without` are the `seq` of those that aren't due now. `record` counts an attempt, on disk: a result that kills the
    agent is found by that.
    """
    rows = db.execute(
        "select seq from commands where state = 'spooled' and seq not in (select value from json_each(?))"
        " order by seq limit ?",
        (json.dumps(list(without)), limit),
    ).fetchall()
    return [take(db, seq) if record else _read(db, seq) for (seq,) in rows]


def take(db: sqlite3.Connection, seq: int) -> Due:
    """Count an attempt to send this result."""
    db.execute("update results set attempts = attempts + 1 where seq = ?", (seq,))
    return _read(db, seq)


def _read(db: sqlite3.Connection, seq: int) -> Due:
    row = db.execute(f"select {_COLUMNS} from results r join commands c using (seq) where seq = ?", (seq,)).fetchone()
    if row is None:
        return _lost(db, seq)
    _, command_id, outcome, exit_code, error, ms, size, truncated, rule, attempts, *rest = row
    stdout, stderr, stdout_json, stderr_json, crc, started, *trace = rest
    known = outcome in _OUTCOMES
    result = Result(Outcome(outcome) if known else Outcome.DAMAGED, exit_code, error, ms, size, bool(truncated), rule)
    output: dict[Stream, Output] = {"stdout": Output(stdout, stdout_json), "stderr": Output(stderr, stderr_json)}
    whole = None if known else False
    if known and stdout + stderr <= HELD_BYTES:
        texts = {stream: "".join(_pieces(db, seq, stream)) for stream in STREAMS}
        crcs = {stream: zlib.crc32(texts[stream].encode()) for stream in STREAMS}
        whole = checksum(command_id, result, output, crcs) == crc
        output = {stream: replace(output[stream], held=texts[stream]) for stream in STREAMS}
    correlation_id, session_id = _trace(command_id, *trace)
    return Due(seq, command_id, result, attempts, correlation_id, session_id, _seconds(started), output, crc, whole)


def checksum(command_id: str, result: Result, output: Mapping[Stream, Output], crcs: Mapping[Stream, int]) -> int:
    """Of a result as it is stored, with what its texts come to."""
    written = (Written(0, output[stream].bytes, output[stream].json_bytes, crcs[stream]) for stream in STREAMS)
    return result_crc(command_id, result, *written)


def _trace(
    command_id: str, correlation_id: str | None, session_id: str | None, args: str, timeout: float | None, crc: int
) -> tuple[str | None, str | None]:
    """The tracing ids as the API gave them. A damaged one could make a header that no request may have."""
    if correlation_id is None and session_id is None:
        return None, None
    whole = read_command(command_id, args, timeout, correlation_id, session_id, crc) is not None
    return (correlation_id, session_id) if whole else (None, None)


def _seconds(unix_ms: int | None) -> float | None:
    """None too for what is no time: nothing vouches for this one, and a result can do without."""
    return None if unix_ms is None or not 0 <= unix_ms < _NO_TIME_MS else unix_ms / 1000


def _lost(db: sqlite3.Connection, seq: int) -> Due:
    row = db.execute("select command_id from commands where seq = ?", (seq,)).fetchone()
    if row is None:
        raise Broken(MISSING_ROW)
    return Due(seq, row[0], Result(Outcome.DAMAGED), 0, None, None, None, {}, 0, whole=False)


def _pieces(db: sqlite3.Connection, seq: int, stream: Stream) -> list[str]:
    rows = db.execute("select text from pieces where seq = ? and stream = ? order by part", (seq, stream))
    return [text for (text,) in rows]


def stored_bytes(db: sqlite3.Connection, seq: int) -> int:
    """Of output, 0 if there is no such result."""
    row = db.execute("select stdout_bytes + stderr_bytes from results where seq = ?", (seq,)).fetchone()
    return 0 if row is None else int(row[0])


def piece(db: sqlite3.Connection, seq: int, stream: Stream, part: int) -> str | None:
    """One piece, or None after the last."""
    row = db.execute(
        "select text from pieces where seq = ? and stream = ? and part = ?", (seq, stream, part)
    ).fetchone()
    return None if row is None else str(row[0])


def piece_crc(db: sqlite3.Connection, seq: int, stream: Stream, part: int, crc: int) -> int | None:
    """The checksum so far with one more piece, or None after the last."""
    text = piece(db, seq, stream, part)
    return None if text is None else zlib.crc32(text.encode(), crc)


def settle(
    db: sqlite3.Connection,
    seq: int,
    state: str,
    status: int | None,
    words: str | None,
    now: Stamp,
    *,
    keep: bool = True,
) -> bool:
    """The API has answered for good. False if the result wasn't waiting any more.

    `state` is "delivered" or "rejected"; `keep` says whether a delivered result's output stays for people to look at.
    """
    changed = db.execute("update commands set state = ? where seq = ? and state = 'spooled'", (state, seq)).rowcount
    if not changed:
        return False
    output = "whole" if state == "rejected" else "kept" if keep else "gone"
    if output == "gone":
        db.execute("delete from pieces where seq = ?", (seq,))
    db.execute(
        "update results set output = iif(stdout_bytes + stderr_bytes = 0, 'whole', ?),"
        " settled_unix_ms = ?, settled_boot = ?, settled_uptime_ms = ?,"
        " last_status = ?, last_words = ?, next_attempt_unix_ms = null where seq = ?",
        (output, now.unix_ms, now.boot, now.uptime_ms, status, _words(words), seq),
    )
    return True


def postpone(db: sqlite3.Connection, seq: int, until_unix_ms: int, status: int | None, words: str) -> None:
    """Note for people why a result wasn't delivered and when it is tried again."""
    db.execute(
        "update results set next_attempt_unix_ms = ?, last_status = ?, last_words = ? where seq = ?",
        (until_unix_ms, status, _words(words), seq),
    )


def _words(words: str | None) -> str | None:
    return None if not words else clean(words)[:500]


def cut(db: sqlite3.Connection, seq: int, max_bytes: int) -> int:
    """Shorten each stream to at most `max_bytes` of UTF-8, at a character boundary. Returns the bytes that are left."""
    sums: dict[Stream, Written] = {}
    for stream in STREAMS:
        written = Written()
        while (text := piece(db, seq, stream, written.parts)) is not None:
            kept = prefix(text.encode()[: min(PIECE_BYTES, max_bytes - written.bytes)])
            if kept != text:
                _end_pieces(db, seq, stream, written.parts, kept)
            written = written.plus(kept)
        sums[stream] = written
    found = _read(db, seq)
    left = sum(written.bytes for written in sums.values())
    shorter = left < sum(output.bytes for output in found.output.values())
    result = replace(found.result, truncated=found.result.truncated or shorter)
    stdout, stderr = sums["stdout"], sums["stderr"]
    db.execute(
        "update results set truncated = ?, stdout_bytes = ?, stderr_bytes = ?, stdout_json_bytes = ?,"
        " stderr_json_bytes = ?, crc32 = ? where seq = ?",
        (
            result.truncated,
            stdout.bytes,
            stderr.bytes,
            stdout.json_bytes,
            stderr.json_bytes,
            result_crc(found.command_id, result, stdout, stderr),
            seq,
        ),
    )
    return left


def _end_pieces(db: sqlite3.Connection, seq: int, stream: Stream, part: int, text: str) -> None:
    db.execute("delete from pieces where seq = ? and stream = ? and part > ?", (seq, stream, part))
    if text:
        db.execute("update pieces set text = ? where seq = ? and stream = ? and part = ?", (text, seq, stream, part))
    else:
        db.execute("delete from pieces where seq = ? and stream = ? and part = ?", (seq, stream, part))
