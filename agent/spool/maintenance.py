"""Keeps the file small: forgets old results, deletes output that is kept for people, shrinks the file.

Functions of the database, and `sweep`, which calls them. Only what the API has answered for is ever touched here.
"""

# ruff: noqa: S608  # what is put into these statements is this file's own

import math
import sqlite3
from pathlib import Path

from agent.log import Log
from agent.spool.clock import Clock, follow
from agent.spool.schema import note
from agent.spool.space import PAGE_BYTES, Space
from agent.spool.writer import Need, Writer

log = Log("spool")

BUSY_MS = 1000  # for a person's sqlite3 that holds SQLite's lock. All who wait for the spool wait with it
SLICE_ROWS = 500  # in one transaction: few, so that others don't wait for long
_DROP_ROWS = 100  # small outputs are kept by the ten thousand, and a list of them all would be 10 MB of memory
_SLACK_BYTES = 1024 * 1024  # free pages that stay in the file, so that it doesn't shrink and grow all day

REJECTED = (
    "commands join results using (seq)"
    " where state = 'rejected' and output = 'whole' and stdout_bytes + stderr_bytes > 0"
)
KEPT = "results where output = 'kept'"


def tidy(db: sqlite3.Connection, clock: Clock, space: Space, full: str | None) -> int:
    """Forget old results, and delete outputs beyond their share. Returns how many were forgotten: there may be more."""
    plan = space.plan
    follow(db, clock)
    note(db, capacity_bytes=plan.capacity_bytes, full_because=full)
    db.execute(f"pragma max_page_count = {plan.hard_pages}")
    # On a disk that others have filled it would make no room, and an id that is forgotten too early runs again.
    rows = math.inf if space.disk_full else plan.kept_rows
    removed = forget(db, clock.unix_ms() - round(space.limits.retention_seconds * 1000), rows)
    drop(db, KEPT, 0 if space.short else plan.kept_bytes)
    drop(db, REJECTED, plan.rejected_bytes)
    return removed


def forget(db: sqlite3.Connection, before_ms: int, keep_rows: float) -> int:
    """Remove some results settled before `before_ms` or beyond `keep_rows`, delivered ones first. Returns how many."""
    removed = 0
    for state in ("delivered", "rejected"):
        (rows,) = db.execute("select count(*) from commands where state in ('delivered', 'rejected')").fetchone()
        oldest = db.execute(
            "select seq, settled_unix_ms from commands left join results using (seq) where state = ?"
            " order by seq limit ?",  # settled nearly in the order of acceptance
            (state, SLICE_ROWS),
        ).fetchall()
        gone = [(seq,) for n, (seq, ms) in enumerate(oldest) if n < rows - keep_rows or (ms and ms < before_ms)]
        for table in ("pieces", "results", "commands"):
            db.executemany(f"delete from {table} where seq = ?", gone)
        removed += len(gone)
        if len(oldest) == SLICE_ROWS:  # there are more of these to go first, in the next round
            keep_rows = math.inf
    return removed


def drop(db: sqlite3.Connection, source: str, most_bytes: int) -> None:
    """Delete the oldest outputs of `KEPT` or `REJECTED` results until at most `most_bytes` are left."""
    (left,) = db.execute(f"select ifnull(sum(stdout_bytes + stderr_bytes), 0) from {source}").fetchone()
    oldest = f"select seq, stdout_bytes + stderr_bytes from {source} order by seq limit {_DROP_ROWS}"
    while left > most_bytes:
        for seq, size in db.execute(oldest).fetchall():
            if left > most_bytes:
                db.execute("delete from pieces where seq = ?", (seq,))
                db.execute("update results set output = 'gone' where seq = ?", (seq,))
                left -= size


def shrink(db: sqlite3.Connection, space: Space) -> int:
    """Give some free pages back to the file system, at the next checkpoint, and return how many."""
    (free,) = db.execute("pragma freelist_count").fetchone()
    slack = min(_SLACK_BYTES, space.plan.soft_bytes // 16) // PAGE_BYTES
    at_once = space.plan.wal_bytes // 4 // PAGE_BYTES  # as the pages that are moved are in the log until it starts over
    pages = max(0, min(at_once, int(free) - slack))
    if pages:
        db.executescript(f"pragma incremental_vacuum({pages})")  # `execute` would free one page only
        space.measure(db)
    return pages


def checkpoint(db: sqlite3.Connection, clock: Clock, space: Space, whole: bool) -> None:
    """Bring the write-ahead log into the database, as far as no reader needs it; nobody is waited for. It is truncated
    if `whole` or too long. Else its file keeps its length: overwriting is cheaper than extending.
    """
    long = space.wal_bytes > space.plan.wal_bytes
    db.execute("pragma busy_timeout = 0")
    try:
        mode = "truncate" if whole or long else "passive"
        busy, *_ = db.execute(f"pragma wal_checkpoint({mode})").fetchone()
    finally:
        db.execute(f"pragma busy_timeout = {BUSY_MS}")
    space.reader_since_ms = (space.reader_since_ms or clock.unix_ms()) if busy and long else None
    space.load_ballast()  # there may be room for it now
    space.measure(db)


def take_requests(path: Path) -> list[str]:
    """Take the ids whose results people want to be sent again. A request that stayed would be met again and again."""
    ids = []
    for file in path.parent.glob(f"{path.name}.retry-*"):  # in this folder the agent may remove what others made
        if file.suffix != ".part":
            try:
                text = file.read_text(errors="replace")
                file.unlink()
                ids.append(text)
            except OSError as error:
                log.warning("a request to send again can't be removed, please do", file=str(file), reason=str(error))
    return ids


async def sweep(writer: Writer, space: Space, clock: Clock, full: str | None) -> None:
    """One round, in small commits."""
    space.grow()
    removed = pages = 0
    try:
        while some := await writer.run(Need.STATE, tidy, clock, space, full):
            removed += some
        while some := await writer.run(Need.OUTSIDE, shrink, space):
            pages += some
    finally:
        await writer.run(Need.OUTSIDE, checkpoint, clock, space, pages > 0)
    if removed or pages:
        log.debug("old results removed", count=removed, freed_bytes=pages * PAGE_BYTES)
