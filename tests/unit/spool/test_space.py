import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.spool import Limits, space
from agent.spool.space import MB, PAGE_BYTES, SMALLEST_BYTES, Plan, Space, beside


@given(st.integers(SMALLEST_BYTES, 2**40), st.integers(1, 2**30))
def test_the_parts_are_within_the_cap_and_an_output_fits_its_reserve(capacity: int, output: int) -> None:
    plan = Plan(capacity, output)
    assert plan.hard_pages * PAGE_BYTES + plan.wal_bytes + plan.ballast_bytes <= capacity
    assert plan.hard_pages - plan.soft_bytes // PAGE_BYTES >= 60  # for changes of state
    assert plan.soft_bytes >= capacity // 4
    assert min(output, capacity // 100) <= plan.output_bytes <= output
    assert plan.output_bytes * 33 // 32 <= plan.reserve_bytes <= plan.soft_bytes // 4
    assert plan.kept_bytes + plan.rejected_bytes + plan.kept_rows * 1024 + plan.soft_bytes // 4 <= plan.soft_bytes


def test_an_output_of_the_default_size_fits_the_default_spool() -> None:
    assert Plan(256 * MB, 10 * MB).output_bytes == 10 * MB


def test_a_file_that_is_too_large_already_can_still_change_its_states() -> None:
    assert Plan(2 * MB, MB, pages=10_000).hard_pages > 10_000


def test_the_disk_bounds_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "disk_free", lambda _: 16 * MB)
    assert Space(tmp_path / "spool.db", Limits(256 * MB)).plan.capacity_bytes == 15 * MB
    assert Space(tmp_path / "spool.db", Limits(8 * MB)).plan.capacity_bytes == 8 * MB


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("create table t (x)")
        yield db


@pytest.fixture
def files(tmp_path: Path) -> Space:
    return Space(tmp_path / "spool.db", Limits(32 * MB))


def test_a_log_that_a_reader_pins_counts_in_full(files: Space, db: sqlite3.Connection) -> None:
    plan = files.plan
    db.execute("insert into t values (zeroblob(4000000))")
    files.measure(db)
    free = files.free_bytes
    assert free == plan.soft_bytes - files.used_bytes
    beside(files.path, "-wal").write_bytes(bytes(plan.wal_bytes + MB))
    files.measure(db)
    assert files.free_bytes == 32 * MB - plan.ballast_bytes - files.file_bytes - plan.wal_bytes - MB
    db.execute(f"insert into t values (zeroblob({plan.soft_bytes}))")
    files.measure(db)
    assert files.free_bytes == 0


def test_the_ballast_is_dropped_once_and_only_on_a_full_disk(files: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    ballast = beside(files.path, ".ballast")
    files.load_ballast()
    assert ballast.stat().st_blocks * 512 >= 4 * MB
    files.drop_ballast()
    assert ballast.exists()
    monkeypatch.setattr(space, "disk_free", lambda _: 0)
    files.drop_ballast()
    assert not ballast.exists()
    files.drop_ballast()
    files.load_ballast()
    assert not ballast.exists()
    monkeypatch.undo()
    files.load_ballast()
    assert ballast.exists()


def test_on_a_disk_that_became_read_only_the_ballast_stays(files: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    files.load_ballast()

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(space, "disk_free", lambda _: 0)
    monkeypatch.setattr(Path, "unlink", read_only)
    files.drop_ballast()
    monkeypatch.undo()
    assert beside(files.path, ".ballast").exists()


def test_a_ballast_that_finds_no_room_leaves_nothing_behind(
    files: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    files.load_ballast()
    assert list(tmp_path.iterdir()) == []


def test_why_it_is_full_is_guessed_from_what_takes_the_room(files: Space) -> None:
    files.used_bytes, files.disk_free = 20 * MB, 100 * MB
    assert files.why_full(3, 11 * MB) == "3 results with 11264 KiB wait for the API"
    assert files.why_full(3, 9 * MB).startswith("what it remembers takes its room")
    files.disk_free = 1024
    assert files.why_full(3, 11 * MB) == "its disk has only 1 KiB left: make room there"
    assert space.disk_free(files.path / "not there") == 0
