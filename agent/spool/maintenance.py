"""Keeps the file small: forgetting, giving up what is kept for people, shrinking.

Functions of the database, and `SpoolMaintenance`, which calls them in turn. Only what the API has answered for is ever
touched here.
"""

# ruff: noqa: S608  # what is put into these statements is this file's own

import sqlite3
from collections.abc import Callable
from functools import partial

from agent.errors import SpoolFull
from agent.log import Log
from agent.spool.clock import Clock, follow, readable
from agent.spool.counters import Measured
from agent.spool.space import Space
from agent.spool.values import SMALL_BYTES, Limits
from agent.spool.writer import Need, Writer

log = Log("spool")

BUSY_MS = 1000
"""How long a write waits for somebody at a prompt who holds the lock. Whoever waits for the spool waits with it."""

SLICE_ROWS = 500
SLICE_PAGES = 1024
"""How much is done in one transaction, so that others don't wait for long."""

_DROP_ROWS = 100
_SLACK_BYTES = 1024 * 1024  # free pages that stay in the file, so that it doesn't shrink and grow all day

REJECTED = (
    "commands join results using (seq)"
    " where state = 'rejected' and output = 'whole' and stdout_bytes + stderr_bytes > 0"
)
KEPT = "results where output = 'kept'"


def measure(db: sqlite3.Connection) -> Measured:
    """Count. About 1 ms for 100,000 remembered results: each count reads an index that holds little else."""
    spooled, small, spooled_bytes = db.execute(
        "select count(*), ifnull(sum(ifnull(stdout_bytes + stderr_bytes, 0) <= ?), 0),"
        " ifnull(sum(stdout_bytes + stderr_bytes), 0)"
        " from commands left join results using (seq) where state = 'spooled'",
        (SMALL_BYTES,),
    ).fetchone()
    (rejected,) = db.execute("select count(*) from commands where state = 'rejected'").fetchone()
    (results,) = db.execute("select count(*) from results").fetchone()
    return Measured(spooled, small, spooled_bytes, rejected, max(0, results - spooled - rejected))


def forget(db: sqlite3.Connection, before_ms: int) -> int:
    """Remove some results that were settled before that. Returns how many."""
    removed = 0
    for state in ("delivered", "rejected"):
        rows = db.execute(
            "select seq from (select seq from commands where state = ? order by seq limit ?) join results using (seq)"
            " where settled_unix_ms < ?",  # settled nearly in the order of acceptance: the oldest are enough
            (state, SLICE_ROWS, before_ms),
        ).fetchall()
        removed += _remove(db, rows)
    return removed


def forget_oldest(db: sqlite3.Connection, keep_rows: int) -> int:
    """Remove some of the oldest settled results beyond `keep_rows`, delivered ones first. Returns how many."""
    removed = 0
    for state in ("delivered", "rejected"):
        (rows,) = db.execute("select count(*) from commands where state in ('delivered', 'rejected')").fetchone()
        found = db.execute(
            "select seq from commands where state = ? order by seq limit ?",
            (state, max(0, min(SLICE_ROWS, rows - keep_rows))),
        ).fetchall()
        removed += _remove(db, found)
    return removed


def _remove(db: sqlite3.Connection, rows: list[tuple[int]]) -> int:
    for table in ("pieces", "results", "commands"):
        db.executemany(f"delete from {table} where seq = ?", rows)
    return len(rows)


def drop(db: sqlite3.Connection, source: str, most_bytes: int) -> int:
    """Give up the oldest outputs of `KEPT` or `REJECTED` results until at most so much is left. Returns how many.

    A few at a time: small outputs are kept by the ten thousand, and a list of them all would be 10 MB of memory.
    """
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
    return dropped


def drop_args(db: sqlite3.Connection) -> int:
    """Give up the arguments of some of the oldest settled commands, which may be 16 KiB each. Returns how many."""
    return db.execute(
        "update commands set args = null, request = null where seq in (select seq from commands"
        " where state in ('delivered', 'rejected') and args is not null order by seq limit ?)",
        (SLICE_ROWS,),
    ).rowcount


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


def checkpoint(db: sqlite3.Connection, *, whole: bool) -> bool:
    """Bring the write-ahead log into the database, as far as no reader needs it. Outside of a transaction.

    With `whole` it is cut to nothing too, and False is returned if a reader keeps it from that. Nobody is waited for.
    Else the file's length stays as it is: writing over it is cheaper than making it longer.
    """
    db.execute("pragma busy_timeout = 0")
    try:
        mode = "truncate" if whole else "passive"
        (busy, *_), *_ = db.execute(f"pragma wal_checkpoint({mode})").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_LOCKED:
            raise
        busy = 1
    finally:
        db.execute(f"pragma busy_timeout = {BUSY_MS}")
    return not busy


def note(db: sqlite3.Connection, **values: object) -> None:
    """Keep something for people, in `meta`; None takes it away."""
    for key, value in values.items():
        db.execute("delete from meta where key = ?", (key,))
        if value is not None:
            db.execute("insert into meta (key, value) values (?, ?)", (key, str(value)))


class SpoolMaintenance:
    """One round after the other, in small commits, so that others don't wait for long."""

    def __init__(self, writer: Writer, space: Space, limits: Limits, clock: Clock) -> None:
        self._writer = writer
        self._space = space
        self._limits = limits
        self._clock = clock
        self._noted: str | None = None
        self.reader_since_ms: int | None = None
        """Since when somebody reads and keeps the write-ahead log from starting over."""

    async def follow_clock(self) -> None:
        """If the machine's clock was set, set all times in the spool with it."""
        await self._writer.run(partial(follow, clock=self._clock), Need.STATE)

    async def make_room(self) -> tuple[int, int, int]:
        """Forget what is old, give up what is kept for people where room is short, give pages back.

        Returns:
            Results forgotten, outputs given up, bytes given back to the filesystem.
        """
        if self._space.grow():
            capacity = self._space.plan.capacity_bytes
            await self._writer.run(partial(note, capacity_bytes=capacity), Need.STATE)
        try:
            removed = await self._forget()
            dropped = await self._drop()
            slack = min(_SLACK_BYTES, self._space.plan.soft_bytes // 16) // self._space.page_bytes
            pages = await self._repeat(partial(shrink, slack_pages=slack), Need.ALONE)
        except SpoolFull as error:
            log.warning("maintenance found no room to work in", reason=str(error))
            return 0, 0, 0
        return removed, dropped, pages * self._space.page_bytes

    async def checkpoint(self, *, whole: bool) -> None:
        """Keep the write-ahead log short, and notice who keeps it from that."""
        whole = whole or self._space.wal_bytes > self._space.plan.wal_bytes
        free = await self._writer.run(partial(checkpoint, whole=whole), Need.ALONE)
        held = whole and not free and self._space.wal_bytes > self._space.plan.wal_bytes
        self.reader_since_ms = (self.reader_since_ms or self._clock.unix_ms()) if held else None

    async def note_fullness(self, why: str | None) -> None:
        """For people who look with sqlite3."""
        if why != self._noted:
            await self._writer.run(partial(note, full_because=why), Need.STATE)
            self._noted = why

    def why_full(self, pending: int, pending_bytes: int) -> str:
        """The likeliest cause for a lack of room, in a sentence that says what to do."""
        space = self._space
        if self.reader_since_ms is not None:
            return (
                f"a reader has held the write-ahead log since {readable(self.reader_since_ms)}, and it has grown to"
                f" {space.wal_bytes >> 20} MiB: end it (an open sqlite3, or a pager behind one)"
            )
        if space.disk_full:
            return f"its disk has only {space.disk_free >> 10} KiB left: make room there"
        if pending_bytes * 2 >= space.used_bytes:
            return f"{pending} results with {pending_bytes >> 10} KiB wait for the API"
        return "what it remembers takes its room: raise KUBENTLY_SPOOL_MAX_BYTES, or wait for a round of maintenance"

    async def _forget(self) -> int:
        before_ms = round(self._clock.unix_ms() - self._limits.retention_seconds * 1000)
        removed = await self._repeat(partial(forget, before_ms=before_ms))
        if self._space.disk_full:  # by others: forgetting would make no room, and an id forgotten too early runs again
            return removed
        return removed + await self._repeat(partial(forget_oldest, keep_rows=self._space.plan.kept_rows))

    async def _drop(self) -> int:
        plan = self._space.plan
        kept = 0 if self._short_of_room else plan.kept_bytes

        def work(db: sqlite3.Connection) -> int:
            return drop(db, KEPT, kept) + drop(db, REJECTED, plan.rejected_bytes)

        dropped = await self._writer.run(work, Need.STATE)
        gone: int | None = None
        while self._short_of_room and gone != 0:
            gone = await self._writer.run(drop_args, Need.STATE)
        return dropped

    @property
    def _short_of_room(self) -> bool:
        return self._space.used_bytes > self._space.plan.soft_bytes // 2

    async def _repeat(self, work: Callable[[sqlite3.Connection], int], need: Need = Need.STATE) -> int:
        total = 0
        while done := await self._writer.run(work, need):
            total += done
        return total
