"""What keeps the spool small: forgetting, giving up kept output, shrinking the file.

Functions of the database. Only what the API has answered for is ever touched here.
"""

# ruff: noqa: S608  # what is put into these statements is this file's own

import sqlite3
from dataclasses import dataclass

from agent.spool.clock import Stamp

BUSY_MS = 1000
"""How long a write waits for somebody at a prompt who holds the lock. Whoever waits for the spool waits with it."""
SLICE_ROWS = 500
SLICE_PAGES = 1024
"""How much is done in one transaction, so that others don't wait for long."""
_DROP_ROWS = 100

_OLD = """
select seq from (select seq from commands where state = :state order by seq limit :rows) join results using (seq)
where case when settled_boot = :boot and :boot <> '' then :uptime_ms - settled_uptime_ms
           else :unix_ms - settled_unix_ms end > :retention_ms
"""  # results are settled nearly in the order of acceptance: only the oldest need to be looked at


@dataclass(frozen=True, slots=True)
class Measured:
    """The tables in numbers."""

    accepted: int
    running: int
    spooled: int
    spooled_bytes: int
    rejected: int
    delivered: int
    kept_bytes: int


def measure(db: sqlite3.Connection) -> Measured:
    """Count. About 1 ms for 100,000 remembered results: each count reads an index that holds little else."""

    def count(state: str) -> int:
        return int(db.execute(f"select count(*) from commands where state = '{state}'").fetchone()[0])

    spooled, rejected = count("spooled"), count("rejected")
    (results,) = db.execute("select count(*) from results").fetchone()
    (spooled_bytes,) = db.execute(
        "select ifnull(sum(stdout_bytes + stderr_bytes), 0) from commands c join results r using (seq)"
        " where c.state = 'spooled'"
    ).fetchone()
    (kept_bytes,) = db.execute(
        "select ifnull(sum(stdout_bytes + stderr_bytes), 0) from results where output = 'kept'"
    ).fetchone()
    delivered = max(0, results - spooled - rejected)
    return Measured(count("accepted"), count("running"), spooled, spooled_bytes, rejected, delivered, kept_bytes)


def forget(db: sqlite3.Connection, now: Stamp, retention_seconds: float) -> int:
    """Remove some results that were settled longer ago than that. Returns how many."""
    removed = 0
    for state in ("delivered", "rejected"):
        parameters = {
            "state": state,
            "rows": SLICE_ROWS,
            "boot": now.boot,
            "uptime_ms": now.uptime_ms,
            "unix_ms": now.unix_ms,
            "retention_ms": retention_seconds * 1000,
        }
        removed += _remove(db, db.execute(_OLD, parameters).fetchall())
    return removed


def forget_oldest(db: sqlite3.Connection, keep_rows: int) -> int:
    """Remove some of the oldest delivered results beyond `keep_rows`. Returns how many."""
    (rows,) = db.execute("select count(*) from results").fetchone()
    oldest = db.execute(
        "select seq from commands where state = 'delivered' order by seq limit ?",
        (max(0, min(SLICE_ROWS, rows - keep_rows)),),
    ).fetchall()
    return _remove(db, oldest)


def _remove(db: sqlite3.Connection, rows: list[tuple[int]]) -> int:
    for table in ("pieces", "results", "commands"):
        db.executemany(f"delete from {table} where seq = ?", rows)
    return len(rows)


def drop_kept(db: sqlite3.Connection, most_bytes: int) -> tuple[int, int]:
    """Give up the oldest outputs of delivered results until at most `most_bytes` are left.

    Returns:
        How many were given up, and the bytes that are left.
    """
    return _drop(db, "results where output = 'kept'", most_bytes)


def drop_rejected(db: sqlite3.Connection, most_bytes: int) -> int:
    """Give up the oldest outputs of rejected results until at most `most_bytes` are left. Returns how many."""
    rejected = (
        "commands join results using (seq)"
        " where state = 'rejected' and output = 'whole' and stdout_bytes + stderr_bytes > 0"
    )
    return _drop(db, rejected, most_bytes)[0]


def _drop(db: sqlite3.Connection, source: str, most_bytes: int) -> tuple[int, int]:
    """A few at a time: small outputs are kept by the ten thousand, and a list of them all would be 10 MB of memory."""
    (left,) = db.execute(f"select ifnull(sum(stdout_bytes + stderr_bytes), 0) from {source}").fetchone()
    oldest = f"select seq, stdout_bytes + stderr_bytes from {source} order by seq limit {_DROP_ROWS}"
    dropped = 0
    while left > most_bytes:
        for seq, size in db.execute(oldest).fetchall():
            if left <= most_bytes:
                break
            db.execute("delete from pieces where seq = ?", (seq,))
            db.execute("update results set output = 'gone' where seq = ?", (seq,))
            left -= size
            dropped += 1
    return dropped, int(left)


def shrink(db: sqlite3.Connection, slack_pages: int) -> int:
    """Give some free pages back to the filesystem, at the next checkpoint. Returns how many. Outside of a transaction.

    `execute` would free one page only, `executescript` frees all that are asked for.
    """
    (free,) = db.execute("pragma freelist_count").fetchone()
    pages = min(SLICE_PAGES, int(free) - slack_pages)
    if pages <= 0:
        return 0
    db.executescript(f"pragma incremental_vacuum({pages})")
    return pages


def checkpoint(db: sqlite3.Connection, *, whole: bool) -> None:
    """Bring the write-ahead log into the database, as far as no reader needs it. Outside of a transaction.

    With `whole`, wait for nobody, but cut it to nothing if nobody reads; else leave the file's length as it is:
    writing over it is cheaper than making it longer.
    """
    db.execute("pragma busy_timeout = 0")
    try:
        db.execute(f"pragma wal_checkpoint({'truncate' if whole else 'passive'})").fetchall()
    finally:
        db.execute(f"pragma busy_timeout = {BUSY_MS}")


def note(db: sqlite3.Connection, **values: object) -> None:
    """Keep something for people, in `meta`."""
    for key, value in values.items():
        db.execute("insert or replace into meta (key, value) values (?, ?)", (key, str(value)))
