"""SQLite's errors, and the file system's, as sentences."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import SpoolError, SpoolFull

_FULL = {
    sqlite3.SQLITE_FULL: "there is no room left",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_READONLY: "the disk or the file is read-only",
    sqlite3.SQLITE_CANTOPEN: "a file next to it can't be opened",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
    sqlite3.SQLITE_PROTOCOL: "another program keeps it locked",
    sqlite3.SQLITE_PERM: "it may not be written",
    sqlite3.SQLITE_NOMEM: "memory is short",
}
_SHARED_MEMORY = {
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
}


class Broken(sqlite3.DatabaseError):
    """Damage that SQLite doesn't notice itself."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken: no second try helps."""
    return _code(error) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0)  # an error of Python's own has none


def translate(error: sqlite3.Error, path: Path) -> SpoolError:
    """`SpoolFull` for what may pass; `SpoolError` for what won't."""
    code = _code(error)
    if code in _SHARED_MEMORY:
        return SpoolError(
            f"The volume of {path.parent} has no shared memory between processes, as NFS and 9p have none, "
            "and the spool's write-ahead log needs it.",
            "Use a local volume such as an emptyDir, or set KUBENTLY_SPOOL_PATH to one.",
        )
    if code & 0xFF in _FULL:
        return SpoolFull(f"The spool {path} can't be written now: {_FULL[code & 0xFF]} ({error}).")
    if is_damage(error):
        return SpoolError(
            f"The spool {path} is damaged ({error}).",
            "Start the agent again: it moves the file aside, keeps it, and brings over what can be read.",
        )
    return SpoolError(f"The spool {path} can't be used: {error}.")


@contextmanager
def said(what: str, hint: str = "") -> Iterator[None]:
    """Errors of the file system as sentences: `what` couldn't be done."""
    try:
        yield
    except OSError as error:
        hint = hint or f"Give it to user {os.geteuid()}, or set KUBENTLY_SPOOL_PATH to another path."
        raise SpoolError(f"{what} ({error.strerror}).", hint) from error
