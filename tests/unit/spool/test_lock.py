import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.spool.lock import hold, is_held, read_mark


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    assert not is_held(path)
    assert read_mark(path) == ""
    with hold(path) as mark:
        mark()
        assert is_held(path)
        with (
            pytest.raises(SpoolError, match=f"in use by another process \\(kubently-agent, process {os.getpid()}\\)"),
            hold(path),
        ):
            raise AssertionError
    assert not is_held(path)
    assert read_mark(path) == f"kubently-agent, process {os.getpid()}"


def test_somebody_who_only_looks_keeps_no_agent_from_starting(tmp_path: Path) -> None:
    """As `status --watch` does."""
    path = tmp_path / "spool.db"
    file = (tmp_path / "spool.db.lock").open("w")
    fcntl.flock(file, fcntl.LOCK_SH)

    def look() -> None:
        time.sleep(0.1)
        file.close()

    glance = threading.Thread(target=look)
    glance.start()
    with hold(path):
        assert is_held(path)
    glance.join()
    assert not is_held(path)


def test_a_folder_that_isnt_there(tmp_path: Path) -> None:
    words = r"lock .* can't be opened \(No such file or directory\)\. Give it to user"
    with pytest.raises(SpoolError, match=words), hold(tmp_path / "none" / "spool.db"):
        raise AssertionError


def test_a_disk_without_locks_and_one_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spool.db"
    with hold(path) as mark:
        mark()

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "pwrite", full)
        mark()
        assert read_mark(path)

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    path.with_name("spool.db.lock").unlink()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(SpoolError, match="No locks available"), hold(path):
        raise AssertionError
