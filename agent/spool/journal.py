"""Commands on disk: taken, run, ended. Functions of the database, to be run inside a transaction."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.model import Command, Malformed, Outcome, Result, Stream
from agent.spool.rows import insert, insert_command, insert_result
from agent.spool.text import NOTHING, Written, clean


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
        again += due_again(db, "commands.command_id = ? and output <> 'gone'", clean(command.id))
    return Accepted(tuple(new), tuple(known), tuple(again))


def due_again(db: sqlite3.Connection, which: str, *values: object) -> list[Again]:
    """Let results be sent once more."""
    rows = db.execute(
        f"select seq, stdout_bytes + stderr_bytes, state from commands join results using (seq) where {which}",  # noqa: S608
        values,
    ).fetchall()
    for seq, *_ in rows:
        db.execute("update commands set state = 'spooled' where seq = ?", (seq,))
        db.execute("update results set output = 'whole', next_attempt_unix_ms = null where seq = ?", (seq,))
    return [Again(*row) for row in rows]


def answer(db: sqlite3.Connection, command: Command | Malformed, result: Result, now_ms: int) -> Accepted:
    """Journal a command that never runs, with its result. A known id is treated as when accepting."""
    if isinstance(command, Malformed):
        command = Command(command.id, (), None, command.correlation_id, command.session_id)
    seq = insert_command(db, command, "spooled", now_ms)
    if seq is None:
        return accept(db, [command], now_ms)
    insert_result(db, seq, result, now_ms)
    return Accepted(((seq, command),))


def start(db: sqlite3.Connection, seq: int, now_ms: int) -> None:
    """A command runs. For people, and for the agent that comes after a crash."""
    db.execute(
        "update commands set state = 'running', runs = runs + 1, started_unix_ms = ?"
        " where seq = ? and state = 'accepted'",
        (now_ms, seq),
    )


def append(db: sqlite3.Connection, seq: int, stream: Stream, part: int, text: str) -> None:
    """Store one more piece of output."""
    insert(db, "pieces", seq=seq, stream=stream, part=part, text=text)


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
    changed = db.execute(
        "update commands set state = 'spooled', started_unix_ms = ? where seq = ? and state in ('accepted', 'running')",
        (ending.started_unix_ms, seq),
    ).rowcount
    if not changed:
        return None
    written = {stream: _stored(db, seq, stream, sums) for stream, sums in ending.sums.items()}
    lost = any(written[stream] is not sums[-1] for stream, sums in ending.sums.items())
    for stream, text in () if lost else ending.tail:
        before = written.get(stream, NOTHING)
        append(db, seq, stream, before.parts, text)
        written[stream] = before.plus(text)
    result = replace(ending.result, truncated=ending.result.truncated or lost)
    return insert_result(db, seq, result, now_ms, written)


def _stored(db: sqlite3.Connection, seq: int, stream: Stream, sums: Sequence[Written]) -> Written:
    """What is here of the pieces that were handed in: a full disk may have refused some. What follows a hole goes."""
    found = db.execute("select part from pieces where seq = ? and stream = ? order by part", (seq, stream))
    parts = [part for (part,) in found]
    whole = next((n for n, part in enumerate(parts) if n != part), len(parts))
    if whole == len(sums):
        return sums[-1]
    db.execute("delete from pieces where seq = ? and stream = ? and part >= ?", (seq, stream, whole))
    return sums[whole - 1] if whole else NOTHING


def replace_result(db: sqlite3.Connection, seq: int, sentence: str, now_ms: int) -> None:
    """Put an error result in the place of one that is damaged or was lost."""
    db.execute("delete from pieces where seq = ?", (seq,))
    db.execute("delete from results where seq = ?", (seq,))
    insert_result(db, seq, Result(Outcome.DAMAGED, error=sentence), now_ms)
