"""Salvages a damaged file: copies it row by row into a new one, then moves it aside and keeps it.

SQLite reads what it can still find. What it returns is believed only where the checksum agrees; a result that can't be
copied whole becomes an error, since its command was accepted and somebody waits.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from agent.model import Command
from agent.spool import results
from agent.spool.failure import Broken
from agent.spool.journal import insert_command, read_command
from agent.spool.schema import rows_by_name
from agent.spool.space import beside, file_bytes
from agent.spool.values import Recovery

_MOST_MISSES = 20_000  # keys of one table that are tried in vain
_FILES = ("", "-wal", "-shm")
_TABLES = ("commands", "results", "pieces")


def move_aside(path: Path) -> Path:
    """Rename the database and what belongs to it to "….damaged-<date>", and return the new path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside, number = beside(path, f".damaged-{stamp}"), 1
    while any(beside(aside, suffix).exists() for suffix in _FILES):
        number += 1
        aside = beside(path, f".damaged-{stamp}-{number}")
    for suffix in _FILES:
        with contextlib.suppress(FileNotFoundError):
            beside(path, suffix).rename(beside(aside, suffix))
    return aside


def salvage(path: Path, into: Path, pages: int, report: Recovery) -> None:
    """Copy what can be read of the spool at `path`, which is left as it is, into the empty one at `into`: first what
    somebody waits for, then the record of what was delivered, then results without a command. The new one may have so
    many pages; what doesn't fit is left out.
    """
    if file_bytes(path) == 0:
        return  # SQLite would delete the log beside it
    with closing(sqlite3.connect(f"{into.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as db:
        rows_by_name(db)
        db.execute("pragma journal_mode = memory").fetchall()  # nobody reads this file before it is complete
        db.execute("pragma synchronous = off")
        with contextlib.suppress(sqlite3.DatabaseError):
            db.execute("attach ? as old", (f"{path.absolute().as_uri()}?mode=ro",))
            _bring_all(db, pages, report)
        db.execute("pragma synchronous = full")  # the next commit brings the whole file to the disk
        db.execute("insert or replace into meta (key, value) values ('salvaged_rows', ?)", (str(report.salvaged),))


def _bring_all(db: sqlite3.Connection, pages: int, report: Recovery) -> None:
    seen = set()
    for delivered, most_pages in ((False, pages * 7 // 8), (True, pages)):
        db.execute(f"pragma main.max_page_count = {most_pages}")
        for row in _rows(db, "commands"):
            if (row["state"] == "delivered") is delivered:
                seen.add(row["seq"])
                try:
                    db.execute("begin")
                    with db:
                        _bring(db, row["seq"], row)
                    report.salvaged += 1
                except sqlite3.Error:
                    _give_up(db, row["command_id"], report, delivered=delivered)
    for row in _rows(db, "results"):
        if row["seq"] not in seen:
            _give_up(db, row["command_id"], report, delivered=row["settled_unix_ms"] is not None)


def _rows(db: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Row by row in the order of keys. Where one can't be read, the next is tried."""
    seq = -1
    for _ in range(_MOST_MISSES):
        try:
            for row in db.execute(f"select * from old.{table} where seq > ? order by seq", (seq,)):  # noqa: S608
                seq = row["seq"]
                yield row
        except sqlite3.DatabaseError:
            seq += 1
        else:
            return


def _bring(db: sqlite3.Connection, seq: int, row: sqlite3.Row) -> None:
    """One command with all that belongs to it."""
    unfinished = row["state"] in {"accepted", "running"}
    for table in _TABLES[:1] if unfinished else _TABLES:
        db.execute(f"insert into main.{table} select * from old.{table} where seq = ?", (seq,))  # noqa: S608
    damaged = row["args"] is not None and read_command(row) is None  # they are null where they were given up
    if damaged or not (unfinished or results.read(db, seq, checked=True).whole):
        raise Broken


def _give_up(db: sqlite3.Connection, command_id: object, report: Recovery, *, delivered: bool) -> None:
    """Store an error in the place of what can't be copied; nothing if not even its id can be read."""
    if not isinstance(command_id, str) or not command_id:
        return
    now_ms = time.time_ns() // 1_000_000
    with contextlib.suppress(sqlite3.Error), db:
        db.execute("begin")
        seq = insert_command(db, Command(command_id, ()), "delivered" if delivered else "spooled", now_ms)
        if seq is None:
            return
        results.store_damaged(db, seq, command_id, now_ms)
        if delivered:
            db.execute("update results set settled_unix_ms = ?, output = 'gone' where seq = ?", (now_ms, seq))
        report.salvaged += 1
        report.damaged += 1
