"""What was under way when the agent died."""

import sqlite3

from agent.model import Outcome, Result
from agent.spool.clock import Clock, follow
from agent.spool.counters import Waiting
from agent.spool.rows import insert_result, read_command
from agent.spool.values import Recovery

MOST_RUNS = 2
"""A command that was under way each of this many times when the agent died isn't run again."""

_GAVE_UP = "The agent died {runs} times while this command ran, so it isn't run again."
_INTERRUPTED = (
    "The agent was stopped or killed before this command ended, and started again {age} s after it was accepted: "
    "too late to run it again."
)
_DAMAGED = "The stored command was damaged on disk before it ran. Ask again."


def recover(db: sqlite3.Connection, clock: Clock, rerun_seconds: float, report: Recovery) -> list[Waiting]:
    """Let unfinished commands run again if they are young enough, and answer the others. In one transaction.

    Returns:
        Those to run again, in order.
    """
    follow(db, clock)
    now_ms = clock.unix_ms()
    waiting: list[Waiting] = []
    rows = db.execute("select * from commands where state in ('accepted', 'running') order by seq").fetchall()
    for row in rows:
        seq, runs = row["seq"], row["runs"]
        db.execute("delete from pieces where seq = ?", (seq,))
        db.execute("delete from results where seq = ?", (seq,))  # there only if somebody changed the state by hand
        age_ms = max(0, now_ms - row["accepted_unix_ms"])
        command = read_command(row)
        if command is None:
            _answer(db, seq, Result(Outcome.DAMAGED, error=_DAMAGED), now_ms)
        elif row["state"] == "running" and runs >= MOST_RUNS:
            report.gave_up += 1
            _answer(db, seq, Result(Outcome.INTERRUPTED, error=_GAVE_UP.format(runs=runs)), now_ms)
        elif age_ms >= rerun_seconds * 1000:
            report.interrupted += 1
            error = _INTERRUPTED.format(age=age_ms // 1000)
            _answer(db, seq, Result(Outcome.INTERRUPTED, error=error), now_ms)
        else:
            waiting.append(Waiting(seq, command, runs, clock.uptime() - age_ms / 1000))
            db.execute("update commands set state = 'accepted' where seq = ?", (seq,))
    report.rerun = len(waiting)
    return waiting


def _answer(db: sqlite3.Connection, seq: int, result: Result, now_ms: int) -> None:
    db.execute("update commands set state = 'spooled' where seq = ?", (seq,))
    insert_result(db, seq, result, now_ms)
