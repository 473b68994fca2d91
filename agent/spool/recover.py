"""What was under way when the agent died."""

import sqlite3
from dataclasses import dataclass

from agent.model import Outcome, Result
from agent.spool.clock import Clock, Stamp
from agent.spool.journal import insert_result

MOST_RUNS = 2
"""A command that was under way each of this many times when the agent died isn't run again."""

_GAVE_UP = "The agent died {runs} times while this command ran, so it isn't run again."
_INTERRUPTED = (
    "The agent was stopped or killed before this command ended, and started again {age} s after it was accepted: "
    "too late to run it again."
)


@dataclass(frozen=True, slots=True)
class Found:
    """How many unfinished commands there were, by what becomes of them."""

    rerun: int = 0
    interrupted: int = 0
    gave_up: int = 0


def recover(db: sqlite3.Connection, clock: Clock, rerun_seconds: float) -> Found:
    """Let unfinished commands run again if they are young enough, and answer the others. In one transaction."""
    now = clock.now()
    rerun = interrupted = gave_up = 0
    unfinished = db.execute(
        "select seq, command_id, state, runs, accepted_unix_ms, boot, accepted_uptime_ms from commands"
        " where state = 'accepted' union all "
        "select seq, command_id, state, runs, accepted_unix_ms, boot, accepted_uptime_ms from commands"
        " where state = 'running'"
    ).fetchall()
    for seq, command_id, state, runs, *stamp in unfinished:
        db.execute("delete from pieces where seq = ?", (seq,))
        db.execute("delete from results where seq = ?", (seq,))  # there only if somebody changed the state by hand
        age_ms = clock.age_ms(Stamp(*stamp))
        if state == "running" and runs >= MOST_RUNS:
            gave_up += 1
            _answer(db, seq, command_id, _GAVE_UP.format(runs=runs), now)
        elif age_ms >= rerun_seconds * 1000:
            interrupted += 1
            _answer(db, seq, command_id, _INTERRUPTED.format(age=age_ms // 1000), now)
        else:
            rerun += 1
            db.execute("update commands set state = 'accepted' where seq = ?", (seq,))
    return Found(rerun, interrupted, gave_up)


def _answer(db: sqlite3.Connection, seq: int, command_id: str, sentence: str, now: Stamp) -> None:
    db.execute("update commands set state = 'spooled' where seq = ?", (seq,))
    insert_result(db, seq, command_id, Result(Outcome.INTERRUPTED, error=sentence), {}, now)
