"""How much disk the spool may use, and how much of it is left.

The cap is for all files together:

    | database, up to its soft limit | headroom | write-ahead log | ballast |

What brings in more (commands, output) stops at the soft limit. What changes a state or ends a command may use the
headroom: without it, at the cap, recording a delivery failed 696 times of 696 (measured). The ballast is a file that is
there to be deleted when the disk itself is full, since then SQLite can't even delete a row.
"""

import contextlib
import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SpoolError
from agent.spool.values import Limits

PAGE_BYTES = 4096
MB = 1024 * 1024
OWN = ("", "-wal", "-shm", ".ballast")
"""What counts against the cap, beside the damaged files that are kept."""
SMALLEST_BYTES = 2 * MB
"""With less than this there is no room for a single result worth having."""
_SPARE_PAGES = 64
_FULL_BYTES = 512 * 1024  # a disk with less than this is full
_BESIDE_BYTES = 40 * 1024  # beside an output: the rows, their indexes, and an ordinary stderr


@dataclass(frozen=True, slots=True)
class Plan:
    """How a cap is divided."""

    capacity_bytes: int
    soft_pages: int
    hard_pages: int
    wal_bytes: int
    ballast_bytes: int

    @classmethod
    def of(cls, capacity: int, pages: int = 0) -> "Plan":
        """Divide `capacity` bytes. A database that has more `pages` already can still change its states."""
        ballast = min(8 * MB, capacity // 8)
        wal = min(8 * MB, capacity // 4)
        headroom = min(MB, capacity // 8)
        hard = (capacity - ballast - wal) // PAGE_BYTES
        return cls(capacity, hard - headroom // PAGE_BYTES, max(hard, pages + _SPARE_PAGES), wal, ballast)

    @property
    def soft_bytes(self) -> int:
        """Of the database."""
        return self.soft_pages * PAGE_BYTES

    @property
    def kept_bytes(self) -> int:
        """How much output of delivered results may stay for people to look at."""
        return min(8 * MB, self.soft_bytes // 16)

    @property
    def kept_rows(self) -> int:
        """How many settled results may be remembered: a quarter of the spool at about 1 KB each, with their indexes."""
        return min(100_000, self.soft_bytes // 4 // 1024)

    @property
    def rejected_bytes(self) -> int:
        """How much output of rejected results may stay. An API that refuses everything must not fill the spool."""
        return self.soft_bytes // 4

    def reserve(self, output_bytes: int) -> int:
        """Room to keep free for one command whose output has at most `output_bytes`: a quarter of the spool at most."""
        return min(output_bytes + output_bytes // 32 + _BESIDE_BYTES, self.soft_bytes // 4)

    def output_bytes(self, output_bytes: int) -> int:
        """How much output of one command is sure to fit into `reserve`."""
        return min(output_bytes, (self.soft_bytes // 4 - _BESIDE_BYTES) * 32 // 33)


def beside(path: Path, suffix: str) -> Path:
    """A file that belongs to the spool at `path`: "-wal", "-shm", ".ballast", ".lock" ..."""
    return path.with_name(path.name + suffix)


def file_bytes(path: Path) -> int:
    """0 for a file that isn't there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def disk_free(folder: Path) -> int:
    """Bytes that this user may still write there; 0 if it isn't there."""
    try:
        figures = os.statvfs(folder)
    except OSError:
        return 0
    return figures.f_bavail * figures.f_frsize


def plan_for(path: Path, max_bytes: int) -> Plan:
    """The cap is the smallest of what is configured and what the disk has, less the damaged files kept here.

    Raises:
        SpoolError: that is too little.
    """
    own = sum(file_bytes(beside(path, suffix)) for suffix in OWN)
    on_disk = (disk_free(path.parent) + own) * 15 // 16  # kubectl's cache and the lock are on this disk too
    aside = sum(file_bytes(file) for file in path.parent.glob(f"{path.name}.damaged-*"))
    capacity = min(on_disk, max(max_bytes - aside, max_bytes // 4))
    if capacity < SMALLEST_BYTES and path.exists():
        capacity = SMALLEST_BYTES  # what is here can still be delivered
    if capacity < SMALLEST_BYTES:
        raise SpoolError(
            f"The spool {path} may have only {capacity // 1024} KiB "
            f"(configured: {max_bytes // 1024} KiB, free on its disk: {on_disk // 1024} KiB).",
            f"It needs {SMALLEST_BYTES // MB} MiB or more: make room on the disk or raise KUBENTLY_SPOOL_MAX_BYTES.",
        )
    pages = (file_bytes(path) + file_bytes(beside(path, "-wal"))) // PAGE_BYTES
    return Plan.of(capacity, pages)


class Space:
    """The files' sizes, measured after every commit by the writer's thread."""

    page_bytes = PAGE_BYTES

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        self._lock = threading.Lock()
        self._identity: tuple[int, int] | None = None
        self.used_bytes = 0
        """Of the database, without its free pages."""
        self.file_bytes = 0
        self.wal_bytes = 0
        self._divide(plan_for(path, limits.max_bytes))
        self.measure(0, 0)

    def _divide(self, plan: Plan) -> None:
        self.plan = plan
        self.reserve_bytes = plan.reserve(self._limits.output_bytes)
        """Room to keep free for each command that runs."""
        self.output_bytes = plan.output_bytes(self._limits.output_bytes)
        """How much output of one command is sure to find room."""

    def grow(self) -> bool:
        """Divide anew if the disk has more room than it had before. True if so.

        A disk that is full when the agent starts, and isn't later, mustn't leave it with a tiny spool for months.
        """
        with contextlib.suppress(SpoolError, OSError):
            plan = plan_for(self.path, self._limits.max_bytes)
            if plan.capacity_bytes > self.plan.capacity_bytes:
                self._divide(plan)
                return True
        return False

    def opened(self, db: sqlite3.Connection) -> None:
        """Remember which file was opened, put the ballast beside it, and measure it."""
        self._identity = _identity(self.path)
        self.load_ballast()
        (pages,), (free,) = (db.execute(f"pragma {name}").fetchone() for name in ("page_count", "freelist_count"))
        self.measure(pages, free)

    def check_identity(self) -> None:
        """What is at the path must be the file that was opened: another would get nothing of what is written.

        Raises:
            SpoolError: it was deleted or replaced.
        """
        if _identity(self.path) != self._identity:
            raise SpoolError(
                f"The spool {self.path} was deleted or replaced while the agent had it open.",
                "Never do that to a live agent's spool. It starts again over what is there now.",
            )

    def measure(self, pages: int, free_pages: int) -> None:
        """Take note of the database's size, and look at the other files."""
        self.file_bytes = pages * PAGE_BYTES
        self.used_bytes = (pages - free_pages) * PAGE_BYTES
        self.wal_bytes = file_bytes(beside(self.path, "-wal"))
        self.disk_free = disk_free(self.path.parent)

    @property
    def free_bytes(self) -> int:
        """Room left for commands and output.

        While somebody's long query keeps the write-ahead log from starting over, whatever is written makes it longer:
        then the files themselves have to stay below the cap.
        """
        plan = self.plan
        free = min(plan.soft_bytes - self.used_bytes, self.disk_free - _FULL_BYTES)
        if self.wal_bytes > plan.wal_bytes:
            free = min(free, plan.capacity_bytes - plan.ballast_bytes - self.file_bytes - self.wal_bytes)
        return max(0, free)

    @property
    def full(self) -> bool:
        """Whether no commands are taken: one more output might find no room."""
        return self.free_bytes < self.reserve_bytes

    @property
    def disk_full(self) -> bool:
        """Whether nothing that is freed inside the file would make room for commands."""
        return disk_free(self.path.parent) <= _FULL_BYTES

    @property
    def size_bytes(self) -> int:
        """Of all files, as they are now."""
        return sum(file_bytes(beside(self.path, suffix)) for suffix in OWN)

    @property
    def has_ballast(self) -> bool:
        """Whether there is something to throw overboard."""
        return beside(self.path, ".ballast").exists()

    def drop_ballast(self) -> bool:
        """Delete the ballast if the disk is full. True if that made room."""
        with self._lock:
            if not self.has_ballast or disk_free(self.path.parent) > _FULL_BYTES:
                return False
            try:
                beside(self.path, ".ballast").unlink()
            except OSError:  # a disk that became read-only
                return False
            return True

    def load_ballast(self) -> bool:
        """Put the ballast in place where there is room for it and some more. True if it is in place."""
        with self._lock:
            if self.has_ballast:
                return True
            if disk_free(self.path.parent) < 2 * self.plan.ballast_bytes:
                return False
            return _fill(beside(self.path, ".ballast"), self.plan.ballast_bytes)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _fill(path: Path, size: int) -> bool:
    try:
        with path.open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True
