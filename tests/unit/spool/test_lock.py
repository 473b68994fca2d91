import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.spool.lock import CLOSING, OPEN, SpoolLock, is_held


@contextmanager
def closing_lock(path: Path) -> Iterator[SpoolLock]:
    lock = SpoolLock(path)
    yield lock
    lock.release()


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    assert not is_held(path)
    with closing_lock(path) as lock:
        lock.write(OPEN)
        assert is_held(path)
        with pytest.raises(SpoolError, match=f"in use by another process \\(open, process {os.getpid()}\\)"):
            SpoolLock(path)
    assert not is_held(path)
    with closing_lock(path) as lock:
        assert lock.was_open
        lock.write(CLOSING)
    with closing_lock(path) as lock:
        assert not lock.was_open
        assert lock.note == f"closing, process {os.getpid()}"


def test_a_folder_that_isnt_there(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match=r"folder .* can't be written \(No such file or directory\)\. Give it to user"):
        SpoolLock(tmp_path / "none" / "spool.db")


def test_a_disk_without_locks_and_one_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spool.db"
    with closing_lock(path) as lock:
        lock.write(OPEN)

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "pwrite", full)
        lock.write(CLOSING)
        assert lock.was_open

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    path.with_name("spool.db.lock").unlink()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(SpoolError, match="No locks available"):
        SpoolLock(path)
