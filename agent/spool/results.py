"""Results on disk: due, sent, settled. Functions of the database, to be run inside a transaction."""

# ruff: noqa: S608  # what is put into these statements is this file's own

import json
import sqlite3
import zlib
from collections.abc import Collection
from dataclasses import replace

from agent.model import Outcome, Result, Stream
from agent.spool.counters import Settlement
from agent.spool.failure import Broken
from agent.spool.rows import read_result, result_crc, sizes
from agent.spool.text import Written, prefix, printable
from agent.spool.values import STREAMS, Delivery, Stored

HELD_BYTES = 32 * 1024
"""Up to this size an output comes with its result. A few are in memory at a time."""

_NO_TIME_MS = 253_402_300_800_000  # the year 10000
_SHOWN_ERROR_CHARS = 500


def oldest(db: sqlite3.Connection, without: Collection[int], most_bytes: int | None) -> Delivery | None:
    """The oldest result to be sent, with at most so many bytes of output. `without` are those that aren't due now."""
    small = "" if most_bytes is None else f"and ifnull(stdout_bytes + stderr_bytes, 0) <= {most_bytes}"
    row = db.execute(
        f"select seq from commands left join results using (seq) where state = 'spooled' {small}"
        " and seq not in (select value from json_each(?)) order by seq limit 1",
        (json.dumps(list(without)),),
    ).fetchone()
    return None if row is None else read(db, row[0])


def read(db: sqlite3.Connection, seq: int) -> Delivery:
    """One result, with its text if that is small. One that isn't what was stored comes as damaged."""
    row = db.execute(
        "select c.command_id, c.correlation_id, c.session_id, c.started_unix_ms, r.*"  # the first of a name counts
        " from commands c left join results r using (seq) where c.seq = ?",
        (seq,),
    ).fetchone()
    if row is None:
        raise Broken("an index names a command that isn't there")
    attempts = (row["attempts"] or 0) + 1
    found = read_result(row)
    if found is not None:
        result, written = found
        held = sum(each.bytes for each in written.values()) <= HELD_BYTES and row["output"] != "gone"
        output = {name: _stored(db, seq, name, written[name], held=held) for name in STREAMS}
        if all(each.held is None or zlib.crc32(each.held.encode()) == each.crc for each in output.values()):
            times = (row["started_unix_ms"], row["finished_unix_ms"])
            executed_at = next((ms / 1000 for ms in times if ms is not None and 0 <= ms < _NO_TIME_MS), None)
            trace = (row["correlation_id"], row["session_id"])
            return Delivery(seq, row["command_id"], result, attempts, *trace, executed_at, output)
    return Delivery(seq, row["command_id"], Result(Outcome.DAMAGED), attempts, whole=False)


def _stored(db: sqlite3.Connection, seq: int, stream: Stream, written: Written, *, held: bool) -> Stored:
    text = None
    if held:
        rows = db.execute("select text from pieces where seq = ? and stream = ? order by part", (seq, stream))
        text = "".join(text for (text,) in rows)
    return Stored(written.bytes, written.json_bytes, written.crc, text)


def count_attempt(db: sqlite3.Connection, seq: int) -> None:
    """That it is sent is known to people, and to the agent that comes after a crash."""
    db.execute("update results set attempts = attempts + 1 where seq = ?", (seq,))


def oldest_finished(db: sqlite3.Connection) -> int | None:
    """When the oldest result that waits was finished, in milliseconds since 1970; None if none waits."""
    row = db.execute(
        "select finished_unix_ms from results where seq = (select min(seq) from commands where state = 'spooled')"
    ).fetchone()
    return None if row is None else int(row[0])


def undelivered(db: sqlite3.Connection, limit: int) -> list[str]:
    """The command ids of the oldest results that wait."""
    rows = db.execute("select command_id from commands where state = 'spooled' order by seq limit ?", (limit,))
    return [command_id for (command_id,) in rows]


def piece(db: sqlite3.Connection, seq: int, stream: Stream, part: int) -> bytes:
    """One piece as UTF-8, which its checksum is of; empty after the last."""
    row = db.execute(
        "select cast(text as blob) from pieces where seq = ? and stream = ? and part = ?", (seq, stream, part)
    ).fetchone()
    return b"" if row is None else bytes(row[0])


def settle(db: sqlite3.Connection, seq: int, verdict: Settlement, now_ms: int, *, keep: bool) -> bool:
    """The API has answered for good. False if the result wasn't waiting any more.

    `keep` says whether a delivered result's output stays for people to look at.
    """
    changed = db.execute(
        "update commands set state = ? where seq = ? and state = 'spooled'", (verdict.state, seq)
    ).rowcount
    if not changed:
        return False
    output = "whole" if verdict.state == "rejected" or not verdict.bytes else "kept" if keep else "gone"
    if output == "gone":
        db.execute("delete from pieces where seq = ?", (seq,))
    db.execute(
        "update results set output = ?, settled_unix_ms = ?, last_http_status = ?, last_error = ?,"
        " next_attempt_unix_ms = null where seq = ?",
        (output, now_ms, verdict.http_status, _shown(verdict.error), seq),
    )
    return True


def postpone(db: sqlite3.Connection, seq: int, until_unix_ms: int, http_status: int | None, error: str) -> None:
    """Note for people why a result wasn't delivered and when it is tried again."""
    db.execute(
        "update results set next_attempt_unix_ms = ?, last_http_status = ?, last_error = ? where seq = ?",
        (until_unix_ms, http_status, _shown(error), seq),
    )


def _shown(error: str | None) -> str | None:
    return printable(error[:_SHOWN_ERROR_CHARS]) if error else None


def cut(db: sqlite3.Connection, seq: int, max_bytes: int) -> int:
    """Shorten each stream to at most `max_bytes` of UTF-8, at a character boundary. Returns the bytes that are left."""
    found = read(db, seq)
    sums = [_cut_stream(db, seq, stream, max_bytes) for stream in STREAMS]
    left = sum(written.bytes for written in sums)
    result = replace(found.result, truncated=found.result.truncated or left < found.bytes)
    command = db.execute("select command_id, correlation_id, session_id from commands where seq = ?", (seq,)).fetchone()
    columns = {"truncated": result.truncated, **sizes(*sums), "crc32": result_crc(command, result, *sums)}
    names = ", ".join(f"{name} = ?" for name in columns)
    db.execute(f"update results set {names} where seq = ?", (*columns.values(), seq))
    return left


def _cut_stream(db: sqlite3.Connection, seq: int, stream: Stream, max_bytes: int) -> Written:
    written = Written()
    this_piece = "where seq = ? and stream = ? and part = ?"
    while data := piece(db, seq, stream, written.parts):
        kept = prefix(data[: max_bytes - written.bytes])
        if not kept:
            db.execute("delete from pieces where seq = ? and stream = ? and part >= ?", (seq, stream, written.parts))
            break
        if len(data) > max_bytes - written.bytes:
            db.execute(f"update pieces set text = ? {this_piece}", (kept, seq, stream, written.parts))
        written = written.plus(kept)
    return written
