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
    sqlite3.SQLITE_PROTOCOL: "another program keeps it locked",
    sqlite3.SQLITE_PERM: "it may not be written",
    sqlite3.SQLITE_NOMEM: "memory is short",
}
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SHARED_MEMORY = frozenset(
    {
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMLOCK,
        sqlite3.SQLITE_IOERR_SHMMAP,
    }
)


class Broken(sqlite3.DatabaseError):
    """Damage that SQLite doesn't notice itself."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 for an error of Python's own."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken: no second try helps."""
    return primary_code(error) in _DAMAGED


def missing(path: Path) -> SpoolError:
    """For a spool that was asked for and isn't there."""
    return SpoolError(
        f"There is no spool at {path}: no agent was started with that path yet, or it is elsewhere.",
        "Name the file, or set KUBENTLY_SPOOL_PATH.",
    )


def no_shared_memory(folder: Path) -> SpoolError:
    """For a volume on which SQLite can't keep a write-ahead log."""
    return SpoolError(
        f"The volume of {folder} has no shared memory between processes, as NFS and 9p have none, "
        "and the spool's write-ahead log needs it.",
        "Use a local volume such as an emptyDir, or set KUBENTLY_SPOOL_PATH to one.",
    )


def translate(error: sqlite3.Error, path: Path) -> SpoolError:
    """`SpoolFull` for what may pass; `SpoolError` for what won't."""
    code = primary_code(error)
    if getattr(error, "sqlite_errorcode", 0) in _SHARED_MEMORY:
        return no_shared_memory(path.parent)
    if code in _FULL:
        return SpoolFull(f"The spool {path} can't be written now: {_FULL[code]} ({error}).")
    if is_damage(error):
        return SpoolError(
            f"The spool {path} is damaged ({error}).",
            "Start the agent again: it moves the file aside, keeps it, and brings over what can be read.",
        )
    return SpoolError(f"The spool {path} can't be used: {error}.")
