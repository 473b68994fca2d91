"""A damaged file: brought over row by row into a new one, then moved aside and kept.

SQLite reads what it can still find. What it returns is believed only where the checksum agrees; a result that can't be
brought over whole is answered with an error instead, since its command was accepted and somebody waits.
"""

# ruff: noqa: S608  # what is put into these statements is this file's own

import contextlib
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from agent.model import Command, Outcome, Result
from agent.spool import results
from agent.spool.rows import insert, insert_command, insert_result, read_command
from agent.spool.space import beside, file_bytes
from agent.spool.values import STREAMS, Delivery, Recovery

DAMAGED = "The record of this command was damaged on disk, and its result is lost. Ask again: the command only reads."
_MOST_MISSES = 20_000  # a key may be damaged too, and say anything
_MORE_KEYS = 1000  # tried beyond the last that was read
_FILES = ("", "-wal", "-shm")


def move_aside(path: Path) -> Path:
    """Rename the database and what belongs to it to "….damaged-<date>", and return the new path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = beside(path, f".damaged-{stamp}")
    number = 1
    while any(beside(aside, suffix).exists() for suffix in _FILES):
        number += 1
        aside = beside(path, f".damaged-{stamp}-{number}")
    for suffix in _FILES:
        with contextlib.suppress(FileNotFoundError):
            beside(path, suffix).rename(beside(aside, suffix))
    return aside


def salvage(path: Path, into: Path, pages: int, report: Recovery) -> None:
    """Bring over what can be read of the spool at `path`, which is left as it is, into the empty one at `into`.

    It may grow to so many pages; what doesn't fit is left out.
    """
    old = _open(path)
    if old is None:
        return
    with closing(old), closing(sqlite3.connect(into, isolation_level=None)) as new:
        new.row_factory = sqlite3.Row
        new.execute("pragma journal_mode = memory").fetchall()  # nobody reads this file before it is complete
        new.execute("pragma synchronous = off")
        _Salvage(old, new, pages, report).run()
        new.execute("pragma synchronous = full")  # the next commit brings the whole file to the disk
        new.execute("insert or replace into meta (key, value) values ('salvaged_rows', ?)", (str(report.salvaged),))


def _open(path: Path) -> sqlite3.Connection | None:
    """The old database, as far as SQLite finds its tables."""
    if file_bytes(path) == 0:
        return None  # SQLite would delete the log beside it
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    db.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        tables = db.execute("select name from sqlite_schema where name in ('commands', 'results', 'pieces')").fetchall()
    except sqlite3.Error:
        tables = []
    if len(tables) == 3:
        return db
    db.close()
    return None


def _rows(db: sqlite3.Connection, table: str, last: int) -> Iterator[sqlite3.Row]:
    """Row by row in the order of keys. Where one can't be read, the next is tried, up to `last` and a few more."""
    seq, end, misses = -1, last + _MORE_KEYS, 0
    while seq < end and misses < _MOST_MISSES:
        try:
            for row in db.execute(f"select * from {table} where seq > ? order by seq", (seq,)):
                seq = row["seq"]
                end = max(end, seq + _MORE_KEYS)
                yield row
        except sqlite3.DatabaseError:
            seq, misses = seq + 1, misses + 1
        else:
            return


def _last_seq(db: sqlite3.Connection) -> int:
    """The highest key that can be read anywhere."""
    found = [0]
    for table in ("commands", "results", "pieces"):
        with contextlib.suppress(sqlite3.DatabaseError):
            found.append(db.execute(f"select ifnull(max(seq), 0) from {table}").fetchone()[0])
    return max(found)


class _Salvage:
    def __init__(self, old: sqlite3.Connection, new: sqlite3.Connection, pages: int, report: Recovery) -> None:
        self._old = old
        self._new = new
        self._pages = pages
        self._seen: set[int] = set()
        self._report = report

    def run(self) -> None:
        """What somebody waits for first, then the memory of what was delivered, then results without a command."""
        last = _last_seq(self._old)
        for delivered, pages in ((False, self._pages * 7 // 8), (True, self._pages)):
            self._new.execute(f"pragma max_page_count = {pages}")
            for row in _rows(self._old, "commands", last):
                if (row["state"] == "delivered") is delivered:
                    self._bring(row)
        for row in _rows(self._old, "results", last):
            if row["seq"] not in self._seen:
                self._give_up(row["command_id"], delivered=row["settled_unix_ms"] is not None)

    def _bring(self, row: sqlite3.Row) -> None:
        self._seen.add(row["seq"])
        try:
            with self._transaction():
                self._copy(row)
        except (sqlite3.Error, TypeError, ValueError):
            self._give_up(row["command_id"], delivered=row["state"] == "delivered")
        else:
            self._report.salvaged += 1

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._new.execute("begin")
        try:
            yield
            self._new.execute("commit")
        except BaseException:
            if self._new.in_transaction:
                self._new.execute("rollback")
            raise

    def _copy(self, row: sqlite3.Row) -> None:
        command = read_command(row)
        if command is None and row["args"] is not None:
            raise ValueError("the command isn't what was stored")
        insert(self._new, "commands", **dict(row))
        if row["state"] in {"accepted", "running"}:
            return
        due = results.read(self._old, row["seq"])
        if not due.whole:
            raise ValueError("the result isn't what was stored")
        result = self._old.execute("select * from results where seq = ?", (row["seq"],)).fetchone()
        insert(self._new, "results", **dict(result))
        if result["output"] != "gone":
            self._copy_pieces(due)

    def _copy_pieces(self, due: Delivery) -> None:
        crcs = dict.fromkeys(STREAMS, 0)
        for piece in self._old.execute("select * from pieces where seq = ? order by stream, part", (due.seq,)):
            insert(self._new, "pieces", **dict(piece))
            crcs[piece["stream"]] = zlib.crc32(piece["text"].encode(), crcs[piece["stream"]])
        if tuple(crcs.values()) != tuple(due.output[stream].crc for stream in STREAMS):
            raise ValueError("the output isn't what was stored")

    def _give_up(self, command_id: object, *, delivered: bool) -> None:
        """An error in the place of what can't be brought over; nothing at all if not even its id is readable."""
        now_ms = time.time_ns() // 1_000_000
        if not isinstance(command_id, str) or not command_id:
            return
        with contextlib.suppress(sqlite3.Error), self._transaction():
            state = "delivered" if delivered else "spooled"
            seq = insert_command(self._new, Command(command_id, ()), state, now_ms)
            if seq is None:
                return
            insert_result(self._new, seq, Result(Outcome.DAMAGED, error=DAMAGED), now_ms)
            if delivered:
                self._new.execute("update results set settled_unix_ms = ? where seq = ?", (now_ms, seq))
            self._report.salvaged += 1
            self._report.damaged += 1
