"""Which process has the spool: one at a time.

The lock is the kernel's, so it is gone with the process that held it, however that ended. The file beside it says who
that was, and whether it was done: without a "closed" there has to be a write-ahead log.
"""

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from agent.errors import SpoolError
from agent.spool.space import beside

OPEN, CLOSING = "open", "closing"
SUSPECT = "suspect"
"""Of a holder that couldn't go on with the database: the next one looks at it more closely."""

_MARKS = (OPEN, CLOSING, SUSPECT)
_TRIES, _PAUSE_SECONDS = 11, 0.05


class SpoolLock:
    """Held from construction until `release`."""

    def __init__(self, path: Path) -> None:
        """Take the lock of the spool at `path`.

        Raises:
            SpoolError: another process holds it, or it can't be taken at all.
        """
        self._path = beside(path, ".lock")
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise SpoolError(
                    f"{self._path} is a symbolic link, and what it points at would be written over.", "Remove it."
                ) from error
            raise SpoolError(
                f"The spool's folder {path.parent} can't be written ({error.strerror}).",
                f"Give it to user {os.geteuid()}, or set KUBENTLY_SPOOL_PATH to a folder that is writable.",
            ) from error
        try:
            self._take()
        except OSError as error:
            holder = self.note
            os.close(self._fd)
            raise SpoolError(
                f"The spool {path} is in use by another process ({holder or error.strerror}).",
                "Only one agent may have it: stop the other one, or set KUBENTLY_SPOOL_PATH to a path of its own.",
            ) from error

    def _take(self) -> None:
        """Take it. Tried for a while: whoever only looks whether it is held (`is_held`) has it for a moment."""
        for _ in range(_TRIES - 1):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_SECONDS)
            else:
                return
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @property
    def note(self) -> str:
        """What the last holder wrote, "" if nothing."""
        return os.pread(self._fd, 200, 0).decode("utf-8", "replace").strip()

    @property
    def is_marked(self) -> bool:
        """Whether an agent has had the spool before: what is damaged there is its own."""
        return self.note.startswith(_MARKS)

    @property
    def was_open(self) -> bool:
        """Whether the last holder died with the database open."""
        return self.note.startswith(OPEN)

    @property
    def was_suspect(self) -> bool:
        """Whether the last holder couldn't go on with the database."""
        return self.note.startswith(SUSPECT)

    def write(self, state: str) -> None:
        """Say what this holder is doing: OPEN, CLOSING, or SUSPECT."""
        text = f"{state}, process {os.getpid()}\n".encode()
        with contextlib.suppress(OSError):  # a full disk: then the old words stay
            os.pwrite(self._fd, text, 0)
            os.ftruncate(self._fd, len(text))

    def release(self) -> None:
        """Let others have the spool."""
        os.close(self._fd)


def is_marked(path: Path) -> bool:
    """Whether an agent has had the spool at `path` before. Reads the file beside it; takes nothing."""
    try:
        return beside(path, ".lock").read_text(errors="replace").startswith(_MARKS)
    except OSError:
        return False


def is_held(path: Path) -> bool:
    """Whether an agent has the spool at `path` now."""
    try:
        fd = os.open(beside(path, ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
