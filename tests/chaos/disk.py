"""Disks that fail: a small one that can be filled (a file system of its own where one may be mounted, else a limit on
file sizes), and one that damages a file.
"""

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

MEBIBYTE = 1024 * 1024
PAGE = 4096


class SmallDisk:
    """A tmpfs at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, pid: int | None = None) -> None:
        """Leave no room at all."""
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as filler:
            for size in (64 * 1024, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(bytes(size))

    def empty(self, pid: int | None = None) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)


class SizeLimit:
    """No file of the process may become longer than the spool is now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, pid: int | None = None) -> None:
        """From now on writing at the end of the spool's files fails."""
        longest = max((file.stat().st_size for file in self.folder.glob("spool.db*")), default=0)
        self._limit(pid, longest)

    def empty(self, pid: int | None = None) -> None:
        """No limit any more."""
        self._limit(pid, resource.RLIM_INFINITY)

    def _limit(self, pid: int | None, size: int) -> None:
        if pid is not None and sys.platform == "linux":
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


Disk = SmallDisk | SizeLimit


def why_not_mounted(folder: Path, options: str) -> str | None:
    """Mount a file system in memory at `folder`; or say why that can't be done here."""
    if os.geteuid() != 0:
        return "only root may mount a file system"
    if shutil.which("mount") is None:
        return "there is no `mount` here"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else None


@contextlib.contextmanager
def small_disk(folder: Path, size: int, otherwise: Callable[[str], Disk] | None = None) -> Iterator[Disk]:
    """A small disk at `folder`. `otherwise` says what to do with the reason why there can't be one."""
    folder.mkdir(exist_ok=True)
    reason = why_not_mounted(folder, f"size={size}")
    if reason is not None:
        yield otherwise(reason) if otherwise else SizeLimit(folder)
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def break_pages(spool: Path) -> None:
    """A part of the file, as a failing disk would. Nothing of it is in the log any more."""
    with contextlib.closing(sqlite3.connect(spool)) as db:
        db.execute("pragma wal_checkpoint(truncate)").fetchall()
    with spool.open("r+b") as file:
        file.seek(spool.stat().st_size // 3 // PAGE * PAGE)
        file.write(os.urandom(50 * PAGE))
