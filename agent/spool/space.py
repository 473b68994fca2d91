"""How much disk the spool may use, and how much of it is left.

The cap is for all files together:

    | database, up to its soft limit | headroom | write-ahead log | ballast |

Whatever adds data (commands, output) stops at the soft limit. Changing a state and ending a command may use the
headroom: without it, at the cap, recording a delivery failed 696 times of 696 (measured). The ballast is a file to
delete when the disk itself is full, since then SQLite can't even delete a row.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from agent.errors import SpoolError, SpoolFull
from agent.spool.clock import readable
from agent.spool.values import Limits

PAGE_BYTES = 4096
MB = 1024 * 1024
SMALLEST_BYTES = 2 * MB  # has room for a result worth having
_FULL_BYTES = 512 * 1024  # a disk with less than this is full
_BESIDE_BYTES = 40 * 1024  # beside an output: the rows, their indexes, and an ordinary stderr


class Plan:
    """How a cap of `capacity` bytes is divided for outputs of at most `output` bytes, and a database of `pages`."""

    def __init__(self, capacity: int, output: int, pages: int = 0) -> None:
        self.capacity_bytes = capacity
        self.ballast_bytes = min(8 * MB, capacity // 8)
        self.wal_bytes = min(8 * MB, capacity // 4)
        hard = capacity - self.ballast_bytes - self.wal_bytes  # of the database, with the headroom
        self.hard_pages = max(hard // PAGE_BYTES, pages + 64)  # one that is larger already can still change its states
        self.soft_bytes = hard - min(MB, capacity // 8)
        quarter = self.soft_bytes // 4
        self.kept_bytes = min(8 * MB, self.soft_bytes // 16)  # of output of delivered results, for people to look at
        self.rejected_bytes = quarter  # of rejected ones: an API that refuses everything must not fill the spool
        self.kept_rows = min(100_000, quarter // 1024)  # settled results, of about 1 KB each with their indexes
        self.output_bytes = min(output, (quarter - _BESIDE_BYTES) * 32 // 33)  # of one command: sure to find room
        self.reserve_bytes = self.output_bytes + self.output_bytes // 32 + _BESIDE_BYTES  # kept free for that


def beside(path: Path, suffix: str) -> Path:
    """A file that belongs to the spool at `path`: "-wal", "-shm", ".ballast", ".lock" ..."""
    return path.with_name(path.name + suffix)


def file_bytes(path: Path) -> int:
    """The size of a file; 0 if it isn't there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def own_bytes(path: Path) -> int:
    """The size of all files of the spool at `path`, but for damaged ones that are kept."""
    return sum(file_bytes(beside(path, suffix)) for suffix in ("", "-wal", "-shm", ".ballast"))


def disk_free(folder: Path) -> int:
    """Bytes that this user may still write in the folder; 0 if it isn't there."""
    try:
        figures = os.statvfs(folder)
    except OSError:
        return 0
    return figures.f_bavail * figures.f_frsize


class Space:
    """The plan, and the files' sizes as the writer's thread last measured them."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self._folder, self._wal, self._ballast = path.parent, beside(path, "-wal"), beside(path, ".ballast")
        self.file_bytes = self.wal_bytes = self.disk_free = 0
        self.used_bytes = 0  # of the database, without its free pages
        self.reader_since_ms: int | None = None  # since when a reader keeps the write-ahead log from starting over
        self.plan = self._divide()

    def grow(self) -> None:
        """Divide anew if the disk has more room than at the start: one that was full then mustn't count for months."""
        self.plan = max(self.plan, self._divide(), key=lambda plan: plan.capacity_bytes)

    def _divide(self) -> Plan:
        """Divide the smaller of what is configured and what the disk has. Raises SpoolError if that is too little."""
        path, most = self.path, self.limits.max_bytes
        on_disk = (disk_free(self._folder) + own_bytes(path)) * 15 // 16  # kubectl's cache and the lock are there too
        aside = sum(file_bytes(file) for file in self._folder.glob(f"{path.name}.damaged-*"))
        capacity = min(on_disk, max(most - aside, most // 4))
        if path.exists():
            capacity = max(capacity, SMALLEST_BYTES)  # what is here can still be delivered
        if capacity < SMALLEST_BYTES:
            raise SpoolError(
                f"The spool {path} may have only {capacity >> 10} KiB "
                f"(configured: {most >> 10} KiB, free on its disk: {on_disk >> 10} KiB).",
                "It needs 2 MiB or more: make room on the disk or raise KUBENTLY_SPOOL_MAX_BYTES.",
            )
        pages = (file_bytes(path) + file_bytes(self._wal)) // PAGE_BYTES
        return Plan(capacity, self.limits.output_bytes, pages)

    def opened(self, db: sqlite3.Connection) -> None:
        """Remember which file was opened, put the ballast beside it, and measure it."""
        self._opened = self.path.stat()
        self.load_ballast()
        self.measure(db)

    def check_identity(self) -> None:
        """Raise SpoolError if another file is at the path than was opened: it would get nothing of what is written."""
        with contextlib.suppress(OSError):
            if os.path.samestat(self.path.stat(), self._opened):
                return
        raise SpoolError(
            f"The spool {self.path} was deleted or replaced while the agent had it open.",
            "Never do that to a live agent's spool. It starts again over what is there now.",
        )

    def measure(self, db: sqlite3.Connection) -> None:
        """Measure the database, also inside a transaction, and the other files."""
        (pages,), (free,) = (db.execute(f"pragma {name}").fetchone() for name in ("page_count", "freelist_count"))
        self.file_bytes, self.used_bytes = pages * PAGE_BYTES, (pages - free) * PAGE_BYTES
        self.wal_bytes = file_bytes(self._wal)
        self.disk_free = disk_free(self._folder)

    def check_growth(self, before_bytes: int) -> None:
        """Raises SpoolFull if an operation that adds data has gone beyond the soft limit."""
        if self.used_bytes > max(before_bytes, self.plan.soft_bytes):
            raise SpoolFull(f"The spool {self.path} can't be written now: there is no room left.")

    @property
    def free_bytes(self) -> int:
        """Room left for commands and output."""
        plan = self.plan
        free = min(plan.soft_bytes - self.used_bytes, self.disk_free - _FULL_BYTES)
        if self.wal_bytes > plan.wal_bytes:  # a long query keeps it from starting over, and all writing makes it longer
            free = min(free, plan.capacity_bytes - plan.ballast_bytes - self.file_bytes - self.wal_bytes)
        return max(0, free)

    @property
    def full(self) -> bool:
        """Whether no commands are taken: one more output might find no room."""
        return self.free_bytes < self.plan.reserve_bytes

    @property
    def short(self) -> bool:
        """Whether output kept for people must be deleted."""
        return self.used_bytes > self.plan.soft_bytes // 2

    @property
    def disk_full(self) -> bool:
        """Whether the disk is full: then nothing that is freed inside the file makes room for commands."""
        return self.disk_free <= _FULL_BYTES

    def why_full(self, pending: int, pending_bytes: int) -> str:
        """The likeliest cause for a lack of room, in a sentence that says what to do."""
        if self.reader_since_ms is not None:
            return (
                f"a reader has held the write-ahead log since {readable(self.reader_since_ms)}, and it has grown to"
                f" {self.wal_bytes >> 20} MiB: end it (an open sqlite3, or a pager behind one)"
            )
        if self.disk_full:
            return f"its disk has only {self.disk_free >> 10} KiB left: make room there"
        if pending_bytes * 2 >= self.used_bytes:
            return f"{pending} results with {pending_bytes >> 10} KiB wait for the API"
        return "what it remembers takes its room: raise KUBENTLY_SPOOL_MAX_BYTES, or wait for a round of maintenance"

    def drop_ballast(self) -> None:
        """Delete the ballast if the disk is full."""
        if disk_free(self._folder) <= _FULL_BYTES:
            with contextlib.suppress(OSError):  # it is gone already, or the disk became read-only
                self._ballast.unlink()

    def load_ballast(self) -> None:
        """Put the ballast in place where there is room for it and some more."""
        size = self.plan.ballast_bytes
        if self._ballast.exists() or disk_free(self._folder) < 2 * size:
            return
        try:
            with self._ballast.open("wb", buffering=0) as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            self._ballast.unlink(missing_ok=True)
