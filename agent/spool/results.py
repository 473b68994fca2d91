"""Results on disk: stored, due, sent, settled. Functions of the database, to be run inside a transaction."""

# ruff: noqa: S608  # what is put into these statements is this file's own

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import fields, replace

from agent.model import Command, Outcome, Result, Stream
from agent.spool.clock import readable
from agent.spool.failure import Broken
from agent.spool.schema import insert, note
from agent.spool.values import NOTHING, STREAMS, Delivery, Written, checksum, printable

HELD_BYTES = 32 * 1024  # up to this size an output comes with its result. A few are in memory at a time
SHOWN_CHARS = 300  # of a command's line, for people

DAMAGED = Result(
    Outcome.DAMAGED,
    error="The record of this command was damaged on disk, and its result is lost. Ask again: the command only reads.",
)
_RESULT = tuple(field.name for field in fields(Result))
_NO_TIME_MS = 253_402_300_800_000  # the year 10000


def answer(seq: int, command: Command, result: Result) -> Delivery:
    """The result of a command as it can be stored, without its output."""
    if result.error is not None:
        result = replace(result, error=printable(result.error))
    return Delivery(seq, command.id, result, command.correlation_id, command.session_id)


def store(db: sqlite3.Connection, delivery: Delivery, now_ms: int) -> None:
    """Store a result whose pieces are stored."""
    insert(db, "results", seq=delivery.seq, output="whole", finished_unix_ms=now_ms, **_columns(delivery))


def store_damaged(db: sqlite3.Connection, seq: int, command_id: str, now_ms: int) -> None:
    """Store an error for a result in the place of whatever is here, and note that for people."""
    db.execute("delete from pieces where seq = ?", (seq,))
    db.execute("delete from results where seq = ?", (seq,))
    db.execute("update commands set correlation_id = null, session_id = null where seq = ?", (seq,))
    store(db, Delivery(seq, command_id, DAMAGED), now_ms)
    note(db, damage=f"{readable(now_ms)}: the record of {command_id} was damaged on disk")


def _columns(of: Delivery) -> dict[str, object]:
    columns: dict[str, object] = {"command_id": of.command_id, "crc32": _crc(of)}
    columns |= {name: getattr(of.result, name) for name in _RESULT}
    for name, written in of.output.items():
        columns |= {f"{name}_bytes": written.bytes, f"{name}_json_bytes": written.json_bytes}
        columns[f"{name}_crc32"] = written.crc
    return columns


def _crc(of: Delivery) -> int:
    """The checksum of all that the API is told. Only this shows damage inside a page that SQLite can still read."""
    ids = (of.command_id, of.correlation_id, of.session_id)
    output = [(of.output[name].bytes, of.output[name].json_bytes, of.output[name].crc) for name in STREAMS]
    return checksum(ids, [getattr(of.result, name) for name in _RESULT], output)


def read(db: sqlite3.Connection, seq: int, *, checked: bool = False) -> Delivery:
    """One result, with its output if that is small. One that isn't what was stored comes as damaged: of a larger output
    that shows only if it is to be `checked`, which reads all of it.
    """
    row = db.execute(
        "select c.command_id, c.correlation_id, c.session_id, c.started_unix_ms, r.*"  # the first of a name counts
        " from commands c left join results r using (seq) where c.seq = ?",
        (seq,),
    ).fetchone()
    if row is None:
        raise Broken("the command of a result isn't there any more")
    command_id, attempts = row["command_id"], (row["attempts"] or 0) + 1
    damaged = Delivery(seq, command_id, DAMAGED, texts=dict.fromkeys(STREAMS, b""), attempts=attempts, whole=False)
    try:
        values = {name: row[name] for name in _RESULT}
        result = Result(**values | {"outcome": Outcome(row["outcome"]), "truncated": bool(row["truncated"])})
        sums = ("bytes", "json_bytes", "crc32")
        output = {stream: Written(0, *(row[f"{stream}_{name}"] for name in sums)) for stream in STREAMS}
    except (TypeError, ValueError):
        return damaged
    times_ms = (row["started_unix_ms"], row["finished_unix_ms"])
    when = next((ms / 1000 for ms in times_ms if ms is not None and 0 <= ms < _NO_TIME_MS), None)
    found = Delivery(seq, command_id, result, row["correlation_id"], row["session_id"], when, output, attempts=attempts)
    if row["crc32"] != _crc(found):
        return damaged
    small = found.bytes <= HELD_BYTES
    if row["output"] == "gone" or not (small or checked):
        return found
    crcs, texts = dict.fromkeys(STREAMS, 0), dict.fromkeys(STREAMS, b"")
    query = "select stream, cast(text as blob) from pieces where seq = ? order by part"
    for stream, data in db.execute(query, (seq,)):
        crcs[stream] = zlib.crc32(data or b"", crcs.get(stream, 0))
        if small:
            texts[stream] = texts.get(stream, b"") + (data or b"")
    if any(crcs[stream] != output[stream].crc for stream in STREAMS):
        return damaged
    return replace(found, texts=texts if small else None)


def pieces(db: sqlite3.Connection, seq: int, stream: Stream, part: int, most: int) -> list[bytes]:
    """Some pieces, from this one on, as UTF-8, which their checksum is of."""
    query = "select cast(text as blob) from pieces where seq = ? and stream = ? and part >= ? order by part limit ?"
    return [bytes(data) for (data,) in db.execute(query, (seq, stream, part, most))]


def count_attempt(db: sqlite3.Connection, seq: int) -> None:
    """Count an attempt, for people and for the next agent after a crash."""
    db.execute("update results set attempts = attempts + 1 where seq = ?", (seq,))


def settle(
    db: sqlite3.Connection, seq: int, state: str, http_status: int | None, error: str | None, now_ms: int, keep: bool
) -> None:
    """Record the API's final answer. `keep`: the output stays. Arguments beyond what people are shown are deleted:
    nobody runs the command again, and 1,055 refused ones of 16 KiB once filled a spool of 32 MiB for a day.
    """
    long = f"length(args) + length(request) > {SHOWN_CHARS}"
    db.execute(
        f"update commands set state = ?, args = iif({long}, null, args), request = iif({long}, null, request)"
        " where seq = ? and state = 'spooled'",
        (state, seq),
    )
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
    return printable(error[:500]) if error else None


def cut(db: sqlite3.Connection, seq: int, max_bytes: int, now_ms: int) -> int:
    """Shorten each stream to at most `max_bytes` of UTF-8, at a character boundary. Returns the bytes that are left."""
    found = read(db, seq, checked=True)
    if not found.whole:  # what is left would look right
        store_damaged(db, seq, found.command_id, now_ms)
        return 0
    output = {stream: _cut_stream(db, seq, stream, max_bytes) for stream in STREAMS}
    shorter = any(output[stream].bytes < found.output[stream].bytes for stream in STREAMS)
    left = replace(found, output=output, result=replace(found.result, truncated=found.result.truncated or shorter))
    columns = _columns(left)
    names = ", ".join(f"{name} = ?" for name in columns)
    db.execute(f"update results set {names} where seq = ?", (*columns.values(), seq))
    return left.bytes


def _cut_stream(db: sqlite3.Connection, seq: int, stream: Stream, max_bytes: int) -> Written:
    written = NOTHING
    while data := b"".join(pieces(db, seq, stream, written.parts, 1)):
        room = max_bytes - written.bytes
        kept = data[:room].decode("utf-8", "ignore")
        if len(data) > room:
            db.execute("delete from pieces where seq = ? and stream = ? and part >= ?", (seq, stream, written.parts))
            if kept:
                insert(db, "pieces", seq=seq, stream=stream, part=written.parts, text=kept)
        written = written.plus(kept.encode())
    return written


def unanswered(db: sqlite3.Connection, limit: int) -> list[str]:
    """The ids of the oldest commands that wait: to run, to end, or for their result to be sent."""
    waits = "state in ('accepted', 'running', 'spooled')"
    rows = db.execute(f"select command_id from commands where {waits} order by seq limit ?", (limit,))
    return [command_id for (command_id,) in rows]


def sizes(db: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """All results that wait, oldest first: their `seq`, and the bytes of their output."""
    query = (
        "select seq, ifnull(stdout_bytes + stderr_bytes, 0) from commands left join results using (seq)"
        " where state = 'spooled' order by seq"
    )
    return ((seq, size) for seq, size in db.execute(query))


def count(db: sqlite3.Connection) -> tuple[int, int, int | None]:
    """How many are delivered, how many rejected, and when the oldest that waits was finished, in ms since 1970."""
    query = (  # about 1 ms for 100,000: each count reads an index that holds little else
        "select (select count(*) from commands where state = 'delivered'),"
        " (select count(*) from commands where state = 'rejected'),"
        " (select finished_unix_ms from results where seq = (select min(seq) from commands where state = 'spooled'))"
    )
    return tuple(db.execute(query).fetchone())
