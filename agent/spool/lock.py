"""The lock of a spool: one process at a time may use it.

The lock is the kernel's, so it ends with the process that holds it, however that ends. A mark in the lock's file says
who opened the spool last, and that it is a spool: a file that isn't ours is never moved aside.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.errors import SpoolError
from agent.spool.failure import said
from agent.spool.space import beside

_MARK = "kubently-agent, process "


@contextlib.contextmanager
def hold(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock, and yield a function that writes the mark. Raises SpoolError if another process has it."""
    file = beside(path, ".lock")
    with said(f"The spool's lock {file} can't be opened"):  # never through a link: what it points at is written over
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)

    def mark() -> None:
        text = f"{_MARK}{os.getpid()}\n".encode()
        with contextlib.suppress(OSError):  # a full disk: then the old words stay
            os.pwrite(fd, text, 0)
            os.ftruncate(fd, len(text))

    try:
        _take(fd, path)
        yield mark
    finally:
        os.close(fd)


def _take(fd: int, path: Path, tries: int = 10) -> None:
    """Try for a while: `is_held` takes the lock for a moment to see whether it is free."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not tries:
            raise SpoolError(
                f"The spool {path} is in use by another process ({read_mark(path) or error.strerror}).",
                "Only one agent may have it: stop the other one, or set KUBENTLY_SPOOL_PATH to a path of its own.",
            ) from error
        time.sleep(0.05)
        _take(fd, path, tries - 1)


def read_mark(path: Path) -> str:
    """What the last agent that had the spool at `path` wrote; "" if none had."""
    try:
        mark = beside(path, ".lock").read_text(errors="replace").strip()
    except OSError:
        return ""
    return mark if mark.startswith(_MARK) else ""


def is_held(path: Path) -> bool:
    """Whether an agent has the spool at `path` now."""
    try:
        with beside(path, ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
