"""Results on disk: stored, due, sent, settled. Functions of the database, to be run inside a transaction."""

# ruff: noqa: S608  # what is put into these statements is this file's own

import sqlite3
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace

from agent.model import Outcome, Result, Stream
from agent.spool.clock import readable
from agent.spool.failure import Broken
from agent.spool.schema import insert, note
from agent.spool.text import NOTHING, SHOWN_CHARS, Written, checksum, prefix, printable
from agent.spool.values import STREAMS, Delivery

HELD_BYTES = 32 * 1024
"""Up to this size an output comes with its result. A few are in memory at a time."""

DAMAGED = Result(
    Outcome.DAMAGED,
    error="The stored result was damaged on disk and can't be sent. Ask again: the command only reads.",
)
_RESULT = tuple(field.name for field in fields(Result))
_NO_TIME_MS = 253_402_300_800_000  # the year 10000
_SHOWN_ERROR_CHARS = 500

Output = Mapping[Stream, Written]


def store(db: sqlite3.Connection, seq: int, result: Result, now_ms: int, output: Output | None = None) -> None:
    """Store the result of a command whose pieces are stored."""
    whole: Output = dict.fromkeys(STREAMS, NOTHING) | dict(output or {})
    result = replace(result, error=None if result.error is None else printable(result.error))
    columns = _columns(db, seq, result, whole)
    insert(db, "results", seq=seq, output="whole", finished_unix_ms=now_ms, **columns)


def replace_damaged(db: sqlite3.Connection, damaged: Delivery, now_ms: int) -> None:
    """Put an error in the place of a damaged result, and note that for people."""
    db.execute("delete from pieces where seq = ?", (damaged.seq,))
    db.execute("delete from results where seq = ?", (damaged.seq,))
    store(db, damaged.seq, DAMAGED, now_ms)
    note(db, damage=f"{readable(now_ms)}: the result of {damaged.command_id} was damaged on disk")


def _columns(db: sqlite3.Connection, seq: int, result: Result, output: Output) -> dict[str, object]:
    row = db.execute("select command_id, correlation_id, session_id from commands where seq = ?", (seq,)).fetchone()
    columns: dict[str, object] = {"command_id": row["command_id"], "crc32": _crc(row, result, output)}
    columns |= {name: getattr(result, name) for name in _RESULT}
    for name, written in output.items():
        columns |= {f"{name}_bytes": written.bytes, f"{name}_json_bytes": written.json_bytes}
        columns[f"{name}_crc32"] = written.crc
    return columns


def _crc(command: sqlite3.Row, result: Result, output: Output) -> int:
    """The checksum of all that the API is told. Only this shows damage inside a page that SQLite can still read."""
    whose = (command["command_id"], command["correlation_id"], command["session_id"])
    values = [getattr(result, name) for name in _RESULT]
    return checksum(
        whose, values, [(output[name].bytes, output[name].json_bytes, output[name].crc) for name in STREAMS]
    )


def read(db: sqlite3.Connection, seq: int, most_bytes: int = HELD_BYTES) -> Delivery:
    """One result, with its output if that is small. One that isn't what was stored comes as damaged."""
    row = db.execute(
        "select c.command_id, c.correlation_id, c.session_id, c.started_unix_ms, r.*"  # the first of a name counts
        " from commands c left join results r using (seq) where c.seq = ?",
        (seq,),
    ).fetchone()
    if row is None:
        raise Broken("the command of a result isn't there any more")
    attempts = (row["attempts"] or 0) + 1
    damaged = Delivery(seq, row["command_id"], DAMAGED, attempts, whole=False)
    try:
        values = {name: row[name] for name in _RESULT}
        result = Result(**values | {"outcome": Outcome(row["outcome"]), "truncated": bool(row["truncated"])})
        sums = ("bytes", "json_bytes", "crc32")
        output = {stream: Written(0, *(row[f"{stream}_{name}"] for name in sums)) for stream in STREAMS}
    except (TypeError, ValueError):
        return damaged
    if row["crc32"] != _crc(row, result, output):
        return damaged
    texts = None
    if row["output"] != "gone" and sum(written.bytes for written in output.values()) <= most_bytes:
        texts = dict.fromkeys(STREAMS, b"")
        query = "select stream, cast(text as blob) from pieces where seq = ? order by part"
        for stream, data in db.execute(query, (seq,)):
            texts[stream] = texts.get(stream, b"") + (data or b"")
        if any(zlib.crc32(texts[stream]) != output[stream].crc for stream in STREAMS):
            return damaged
    times = (row["started_unix_ms"], row["finished_unix_ms"])
    executed_at = next((ms / 1000 for ms in times if ms is not None and 0 <= ms < _NO_TIME_MS), None)
    whose = (row["correlation_id"], row["session_id"])
    return Delivery(seq, row["command_id"], result, attempts, *whose, executed_at, output, texts)


def piece(db: sqlite3.Connection, seq: int, stream: Stream, part: int) -> bytes:
    """One piece as UTF-8, which its checksum is of; empty after the last."""
    query = "select cast(text as blob) from pieces where seq = ? and stream = ? and part = ?"
    row = db.execute(query, (seq, stream, part)).fetchone()
    return b"" if row is None else bytes(row[0])


def count_attempt(db: sqlite3.Connection, seq: int) -> None:
    """Count an attempt, for people and for the next agent after a crash."""
    db.execute("update results set attempts = attempts + 1 where seq = ?", (seq,))


def settle(
    db: sqlite3.Connection,
    seq: int,
    state: str,
    http_status: int | None,
    error: str | None,
    now_ms: int,
    *,
    keep: bool,
) -> None:
    """Record the API's final answer. `keep`: the output stays. Arguments beyond what people are shown are deleted:
    nobody runs the command again, and 1,055 refused ones of 16 KiB once filled a spool of 32 MiB for a day.
    """
    long = f"length(args) + length(request) > {SHOWN_CHARS}"
    changed = db.execute(
        f"update commands set state = ?, args = iif({long}, null, args), request = iif({long}, null, request)"
        " where seq = ? and state = 'spooled'",
        (state, seq),
    ).rowcount
    if not changed:
        return
    if not keep:
        db.execute("delete from pieces where seq = ?", (seq,))
    output = "whole" if state == "rejected" else "kept"
    db.execute(
        "update results set settled_unix_ms = ?, last_http_status = ?, last_error = ?, next_attempt_unix_ms = null,"
        " output = case when stdout_bytes + stderr_bytes = 0 then 'whole' when ? then ? else 'gone' end where seq = ?",
        (now_ms, http_status, _shown(error), keep, output, seq),
    )


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
    output = {stream: _cut_stream(db, seq, stream, max_bytes) for stream in STREAMS}
    shorter = any(output[stream].bytes < found.output[stream].bytes for stream in STREAMS)
    result = replace(found.result, truncated=found.result.truncated or shorter)
    columns = _columns(db, seq, result, output)
    names = ", ".join(f"{name} = ?" for name in columns)
    db.execute(f"update results set {names} where seq = ?", (*columns.values(), seq))
    return sum(written.bytes for written in output.values())


def stored(db: sqlite3.Connection, seq: int, stream: Stream, handed_in: Written) -> Written:
    """What is stored of the pieces that were handed in: a full disk may have refused the last ones."""
    query = "select count(*) from pieces where seq = ? and stream = ?"
    (parts,) = db.execute(query, (seq, stream)).fetchone()
    return handed_in if parts == handed_in.parts else _cut_stream(db, seq, stream, sys.maxsize)


def _cut_stream(db: sqlite3.Connection, seq: int, stream: Stream, max_bytes: int) -> Written:
    written = NOTHING
    this_piece = "where seq = ? and stream = ? and part = ?"
    while data := piece(db, seq, stream, written.parts):
        too_long = len(data) > max_bytes - written.bytes
        if kept := prefix(data[: max_bytes - written.bytes]):
            if too_long:
                db.execute(f"update pieces set text = ? {this_piece}", (kept, seq, stream, written.parts))
            written = written.plus(kept)
        if too_long or not kept:
            db.execute("delete from pieces where seq = ? and stream = ? and part >= ?", (seq, stream, written.parts))
            break
    return written


def undelivered(db: sqlite3.Connection, limit: int) -> list[str]:
    """The command ids of the oldest results that wait."""
    rows = db.execute("select command_id from commands where state = 'spooled' order by seq limit ?", (limit,))
    return [command_id for (command_id,) in rows]


def sizes(db: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """All results that wait, oldest first: their `seq`, and the bytes of their output."""
    query = (
        "select seq, ifnull(stdout_bytes + stderr_bytes, 0) from commands left join results using (seq)"
        " where state = 'spooled' order by seq"
    )
    return ((seq, size) for seq, size in db.execute(query))


def count(db: sqlite3.Connection) -> tuple[int, int, int | None]:
    """How many are remembered as delivered and as rejected, and when the oldest that waits was finished, in ms
    since 1970. About 1 ms for 100,000: each count reads an index that holds little else.
    """
    query = (
        "select (select count(*) from commands where state = 'delivered'),"
        " (select count(*) from commands where state = 'rejected'),"
        " (select finished_unix_ms from results where seq = (select min(seq) from commands where state = 'spooled'))"
    )
    return tuple(db.execute(query).fetchone())
