"""Commands on disk: taken, run, ended. Functions of the database, to be run inside a transaction."""

import json
import sqlite3
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter

from agent.errors import SpoolFull
from agent.model import Command, Outcome, Result, Stream
from agent.spool import results
from agent.spool.clock import Clock, follow
from agent.spool.results import HELD_BYTES, SHOWN_CHARS
from agent.spool.schema import insert
from agent.spool.values import NOTHING, STREAMS, Delivery, Recovery, Written, checksum, clean, printable, split
from agent.spool.writer import Job

MOST_RUNS = 2  # a command during which the agent has died so often isn't run again
RETRIABLE = "state = 'rejected' and output <> 'gone'"  # can be sent once more if a person asks for it
EVERY_ID = ""  # in a person's request in the place of an id

_fields = attrgetter(*(field.name for field in fields(Command)))  # what the checksum is of

Due = tuple[int, int, bool]
"""A result that is due: its `seq`, its output's bytes, and whether it was so before."""
Accepted = tuple[list[tuple[int, Command]], list[str], list[Due]]
"""What is new, with its `seq`; ids that are known, as given; and results that are due."""


@dataclass(slots=True, eq=False)
class Claim:
    """A command to run now. The rest is for the spool, which keeps it until the command has ended."""

    command: Command
    output_bytes: int  # How much output is sure to find room. More is for the executor to count and to cut
    seq: int
    started_unix_ms: int
    written: dict[Stream, Written] = field(default_factory=dict)  # the output that is in the file
    handed_in: dict[Stream, Written] = field(default_factory=dict)  # with what isn't there yet
    under_way: deque[Job] = field(default_factory=deque)  # the last pieces of that
    refused: list[Job] = field(default_factory=list)  # pieces that found no room: none after them is stored


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
    """Journal a command, as `storable` made it, and return its `seq`, or None if its id is known."""
    words = command.args if command.tool == "kubectl" else (command.tool, json.dumps(command.request))
    return insert(
        db,
        "commands",
        command_id=command.id,
        command=printable(" ".join(words)[:SHOWN_CHARS].replace("\n", " ")),
        tool=command.tool,
        args=json.dumps(command.args),
        request=json.dumps(command.request),
        timeout_seconds=command.timeout,
        correlation_id=command.correlation_id,
        session_id=command.session_id,
        state=state,
        accepted_unix_ms=now_ms,
        crc32=checksum(_fields(command)),
    )


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
        return command if checksum(_fields(command)) == row["crc32"] else None
    except (TypeError, ValueError):
        return None


def accept(db: sqlite3.Connection, commands: Sequence[Command], result: Result | None, now_ms: int) -> Accepted:
    """Take what is new; with a `result` it never runs, and that is its answer. Known results become due unless gone."""
    new: list[tuple[int, Command]] = []
    known: list[str] = []
    due: list[Due] = []
    for given in commands:
        command = storable(given)
        seq = insert_command(db, command, "spooled" if result else "accepted", now_ms)
        if seq is None:
            known.append(given.id)
            due += due_again(db, "commands.command_id = ? and output <> 'gone'", command.id)
            continue
        new.append((seq, command))
        if result:
            results.store(db, results.answer(seq, command, result), now_ms)
            due.append((seq, 0, False))
    return new, known, due


def due_again(db: sqlite3.Connection, which: str, *values: object) -> list[Due]:
    """Make results due once more. A delivered one that was damaged since has had its 2xx: nothing else is ever sent."""
    query = f"select seq, stdout_bytes + stderr_bytes, state from commands join results using (seq) where {which}"  # noqa: S608
    due = []
    for seq, size, state in db.execute(query, values).fetchall():
        if state == "delivered" and not results.read(db, seq, checked=True).whole:
            continue
        db.execute("update commands set state = 'spooled' where seq = ?", (seq,))
        db.execute("update results set output = 'whole', next_attempt_unix_ms = null where seq = ?", (seq,))
        due.append((seq, size, state == "spooled"))
    return due


def retry(db: sqlite3.Connection, ids: Sequence[str]) -> list[Due]:
    """Make those rejected results due once more that people have asked for."""
    which = f"{RETRIABLE} and (? or commands.command_id in (select value from json_each(?)))"  # noqa: S608
    return due_again(db, which, EVERY_ID in ids, json.dumps(ids))


def start(db: sqlite3.Connection, seq: int, now_ms: int) -> None:
    """Record that a command runs, for people and for the next agent after a crash."""
    db.execute(
        "update commands set state = 'running', runs = runs + 1, started_unix_ms = ?"
        " where seq = ? and state = 'accepted'",
        (now_ms, seq),
    )


def append(db: sqlite3.Connection, seq: int, stream: Stream, part: int, piece: bytes) -> None:
    """Store one more piece of output, in UTF-8. Raises SpoolFull if the one before found no room."""
    query = "select 1 from pieces where seq = ? and stream = ? and part = ?"
    if part and db.execute(query, (seq, stream, part - 1)).fetchone() is None:
        raise SpoolFull("The piece before found no room.")
    db.execute("insert into pieces values (?, ?, ?, cast(? as text))", (seq, stream, part, piece))


def finish(
    db: sqlite3.Connection, run: Claim, result: Result, tail: Sequence[tuple[Stream, str]], now_ms: int
) -> Delivery | None:
    """Store the rest of the output and the result, and return it; None if there is one already: no second is kept."""
    changed = db.execute(
        "update commands set state = 'spooled', started_unix_ms = ? where seq = ? and state in ('accepted', 'running')",
        (run.started_unix_ms, run.seq),
    ).rowcount
    if not changed:
        return None
    output = dict.fromkeys(STREAMS, NOTHING) | run.written
    texts = dict.fromkeys(STREAMS, b"")
    pieces = [] if run.refused else [(stream, piece) for stream, text in tail for piece in split(text)]
    for stream, piece in pieces:
        append(db, run.seq, stream, output[stream].parts, piece)
        output[stream] = output[stream].plus(piece)
        texts[stream] += piece
    if run.refused:
        result = replace(result, truncated=True)
    held = None if run.written or sum(map(len, texts.values())) > HELD_BYTES else texts
    answer = results.answer(run.seq, run.command, result)
    found = replace(answer, executed_at=run.started_unix_ms / 1000, output=output, texts=held)
    results.store(db, found, now_ms)
    return found


def recover(db: sqlite3.Connection, clock: Clock, rerun_seconds: float, report: Recovery) -> list[tuple[int, Command]]:
    """Answer what a crash left unfinished, and return those that are young enough to run again, in order."""
    follow(db, clock)
    now_ms = clock.unix_ms()
    again = []
    rows = db.execute("select * from commands where state in ('accepted', 'running') order by seq").fetchall()
    for row in rows:
        seq, runs, age_ms = row["seq"], row["runs"], max(0, now_ms - row["accepted_unix_ms"])
        db.execute("delete from pieces where seq = ?", (seq,))
        db.execute("delete from results where seq = ?", (seq,))  # there only if somebody changed the state by hand
        command = read_command(row)
        error = ""
        if command is None:
            error = "damaged"
        elif row["state"] == "running" and runs >= MOST_RUNS:
            report.gave_up += 1
            error = f"The agent died {runs} times while this command ran, so it isn't run again."
        elif age_ms >= rerun_seconds * 1000:
            report.interrupted += 1
            error = (
                "The agent was stopped or killed before this command ended, and started again"
                f" {age_ms // 1000} s after it was accepted: too late to run it again."
            )
        else:
            report.rerun += 1
            again.append((seq, command))
        db.execute("update commands set state = ? where seq = ?", ("spooled" if error else "accepted", seq))
        if command is None:
            results.store_damaged(db, seq, row["command_id"], now_ms)
        elif error:
            results.store(db, results.answer(seq, command, Result(Outcome.INTERRUPTED, error=error)), now_ms)
    return again
