"""SQLite's errors as sentences."""

import sqlite3
from pathlib import Path

from agent.errors import SpoolError, SpoolFull

_FULL = {
    sqlite3.SQLITE_FULL: "there is no room left",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_READONLY: "the disk or the file is read-only",
    sqlite3.SQLITE_CANTOPEN: "a file next to it can't be opened",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
}
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 for an error of Python's own."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def translate(error: sqlite3.Error, path: Path) -> SpoolError:
    """`SpoolFull` for what may pass; `SpoolError` for what won't."""
    code = primary_code(error)
    if code in _FULL:
        return SpoolFull(f"The spool {path} can't be written now: {_FULL[code]} ({error}).")
    if code in DAMAGED:
        return SpoolError(
            f"The spool {path} is damaged ({error}). "
            "Start the agent again: it moves the file aside, keeps it, and brings over what can be read."
        )
    return SpoolError(f"The spool {path} can't be used: {error}.")
