"""Commands on disk: taken, run, ended. Functions of the database, to be run inside a transaction."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter

from agent.model import Command, Outcome, Result, Stream
from agent.spool import results
from agent.spool.clock import Clock, follow
from agent.spool.schema import insert
from agent.spool.text import NOTHING, Written, checksum, clean, shown
from agent.spool.values import Delivery, Recovery
from agent.spool.writer import Job

MOST_RUNS = 2
"""If the agent has died this many times while a command was under way, the command isn't run again."""

_fields = attrgetter(*(field.name for field in fields(Command)))  # what the checksum is of
_GAVE_UP = "The agent died {runs} times while this command ran, so it isn't run again."
_INTERRUPTED = (
    "The agent was stopped or killed before this command ended, and started again {age} s after it was accepted: "
    "too late to run it again."
)
_DAMAGED = "The stored command was damaged on disk before it ran. Ask again."

RETRIABLE = "state = 'rejected' and output <> 'gone'"
"""Which results can be sent once more if a person asks for it."""
EVERY_ID = ""
"""In a person's request in the place of an id."""

Due = tuple[int, int, bool]
"""A result that is due: its `seq`, its output's bytes, and whether it was so before."""
Accepted = tuple[list[tuple[int, Command]], list[str], list[Due]]
"""What is new, with its `seq`; ids that are known, as given; and results that are due."""


@dataclass(slots=True, eq=False)
class Claim:
    """A command to run now. The last four fields are for the spool, which keeps it until the command has ended."""

    command: Command
    output_bytes: int  # How much output is sure to find room. More is for the executor to count and to cut
    seq: int
    started_unix_ms: int
    written: dict[Stream, Written] = field(default_factory=dict)  # the output that was handed in so far
    stored_bytes: int = 0  # of it, what is known to be in the file
    last: Job | None = None  # the last piece of it that was handed in


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
    return insert(
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
    """Take commands whose id is new; with a `result` they never run, and it is their answer. Known results become due
    again if there is something left to send.
    """
    new: list[tuple[int, Command]] = []
    known: list[str] = []
    again: list[Due] = []
    for command in commands:
        seq = insert_command(db, command, "spooled" if result else "accepted", now_ms)
        if seq is None:
            known.append(command.id)
            again += due_again(db, "commands.command_id = ? and output <> 'gone'", clean(command.id))
            continue
        new.append((seq, storable(command)))
        if result:
            results.store(db, seq, result, now_ms)
            again.append((seq, 0, False))
    return new, known, again


def due_again(db: sqlite3.Connection, which: str, *values: object) -> list[Due]:
    """Make results due once more."""
    columns = "seq, stdout_bytes + stderr_bytes, state = 'spooled'"
    query = f"select {columns} from commands join results using (seq) where {which}"  # noqa: S608
    found = [(seq, size, bool(spooled)) for seq, size, spooled in db.execute(query, values)]
    for seq, _, _ in found:
        db.execute("update commands set state = 'spooled' where seq = ?", (seq,))
        db.execute("update results set output = 'whole', next_attempt_unix_ms = null where seq = ?", (seq,))
    return found


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


def append(db: sqlite3.Connection, seq: int, stream: Stream, part: int, text: str) -> None:
    """Store one more piece of output."""
    insert(db, "pieces", seq=seq, stream=stream, part=part, text=text)


def finish(
    db: sqlite3.Connection, run: Claim, result: Result, tail: Sequence[tuple[Stream, str]], now_ms: int
) -> Delivery | None:
    """Store the rest of the output and the result, and let it be sent.

    Returns:
        The result as it is now here, or None if the command has one already: a second one is never kept.
    """
    changed = db.execute(
        "update commands set state = 'spooled', started_unix_ms = ? where seq = ? and state in ('accepted', 'running')",
        (run.started_unix_ms, run.seq),
    ).rowcount
    if not changed:
        return None
    stored = {stream: results.stored(db, run.seq, stream, written) for stream, written in run.written.items()}
    lost = stored != run.written
    for stream, text in () if lost else tail:
        before = stored.get(stream, NOTHING)
        append(db, run.seq, stream, before.parts, text)
        stored[stream] = before.plus(text)
    results.store(db, run.seq, replace(result, truncated=result.truncated or lost), now_ms, stored)
    return results.read(db, run.seq)


def recover(db: sqlite3.Connection, clock: Clock, rerun_seconds: float, report: Recovery) -> None:
    """After a crash, let unfinished commands run again if they are young enough, and answer the others."""
    follow(db, clock)
    now_ms = clock.unix_ms()
    rows = db.execute("select * from commands where state in ('accepted', 'running') order by seq").fetchall()
    for row in rows:
        seq, runs, age_ms = row["seq"], row["runs"], max(0, now_ms - row["accepted_unix_ms"])
        db.execute("delete from pieces where seq = ?", (seq,))
        db.execute("delete from results where seq = ?", (seq,))  # there only if somebody changed the state by hand
        outcome, error = Outcome.INTERRUPTED, ""
        if read_command(row) is None:
            outcome, error = Outcome.DAMAGED, _DAMAGED
        elif row["state"] == "running" and runs >= MOST_RUNS:
            report.gave_up += 1
            error = _GAVE_UP.format(runs=runs)
        elif age_ms >= rerun_seconds * 1000:
            report.interrupted += 1
            error = _INTERRUPTED.format(age=age_ms // 1000)
        else:
            report.rerun += 1
        db.execute("update commands set state = ? where seq = ?", ("spooled" if error else "accepted", seq))
        if error:
            results.store(db, seq, Result(outcome, error=error), now_ms)


def waiting(db: sqlite3.Connection) -> list[tuple[int, Command]]:
    """Commands that are to run, in order, with their `seq`."""
    rows = db.execute("select * from commands where state = 'accepted' order by seq").fetchall()
    return [(row["seq"], command) for row in rows if (command := read_command(row)) is not None]
