"""Somebody who only looks whether the spool is held, as `status --watch` does, never keeps an agent from starting."""

import fcntl
import threading
import time
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.spool.lock import SpoolLock, is_held


def test_a_glance_at_the_wrong_moment(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    file = (tmp_path / "spool.db.lock").open("w")
    fcntl.flock(file, fcntl.LOCK_SH)

    def look() -> None:
        time.sleep(0.1)
        file.close()

    glance = threading.Thread(target=look)
    glance.start()
    lock = SpoolLock(path)
    assert is_held(path)
    lock.release()
    glance.join()
    assert not is_held(path)


def test_an_agent_that_keeps_it(tmp_path: Path) -> None:
    lock = SpoolLock(tmp_path / "spool.db")
    with pytest.raises(SpoolError, match="in use by another process"):
        SpoolLock(tmp_path / "spool.db")
    lock.release()
