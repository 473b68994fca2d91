import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.spool import Limits, space
from agent.spool.space import MB, PAGE_BYTES, SMALLEST_BYTES, Plan, Space, beside


@given(st.integers(SMALLEST_BYTES, 2**40), st.integers(1, 2**30))
def test_the_parts_are_within_the_cap_and_an_output_fits_its_reserve(capacity: int, output: int) -> None:
    plan = Plan.of(capacity)
    assert plan.hard_pages * PAGE_BYTES + plan.wal_bytes + plan.ballast_bytes <= capacity
    assert plan.hard_pages - plan.soft_pages >= 60  # for changes of state
    assert plan.soft_bytes >= capacity // 4
    assert plan.output_bytes(output) <= output
    assert plan.output_bytes(output) * 33 // 32 <= plan.reserve(output) <= plan.soft_bytes // 4
    assert plan.output_bytes(output) >= min(output, capacity // 100)
    assert plan.kept_bytes + plan.rejected_bytes + plan.kept_rows * 1024 + plan.reserve(output) <= plan.soft_bytes


def test_an_output_of_the_default_size_fits_the_default_spool() -> None:
    assert Plan.of(256 * MB).output_bytes(10 * MB) == 10 * MB


def test_a_file_that_is_too_large_already_can_still_change_its_states() -> None:
    assert Plan.of(2 * MB, pages=10_000).hard_pages > 10_000


def test_the_disk_bounds_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "disk_free", lambda _: 16 * MB)
    assert space.plan_for(tmp_path / "spool.db", 256 * MB).capacity_bytes == 15 * MB
    assert space.plan_for(tmp_path / "spool.db", 8 * MB).capacity_bytes == 8 * MB


def test_a_log_that_a_reader_pins_counts_in_full(tmp_path: Path) -> None:
    plan = Plan.of(32 * MB)
    files = Space(tmp_path / "spool.db", Limits(32 * MB))
    files.measure(1000, 500)
    free = files.free_bytes
    assert free == plan.soft_bytes - 500 * PAGE_BYTES
    beside(files.path, "-wal").write_bytes(bytes(plan.wal_bytes + MB))
    files.measure(1000, 500)
    assert files.free_bytes == 32 * MB - plan.ballast_bytes - 1000 * PAGE_BYTES - plan.wal_bytes - MB
    files.measure(plan.hard_pages, 0)
    assert files.free_bytes == 0


def test_the_ballast_is_dropped_once_and_only_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Space(tmp_path / "spool.db", Limits(32 * MB))
    assert not files.drop_ballast()
    assert files.load_ballast()
    assert beside(files.path, ".ballast").stat().st_blocks * 512 >= 4 * MB
    assert not files.drop_ballast()
    monkeypatch.setattr(space, "disk_free", lambda _: 0)
    assert files.drop_ballast()
    assert not files.drop_ballast()
    assert not files.load_ballast()
    monkeypatch.undo()
    assert files.load_ballast()


def test_a_ballast_that_finds_no_room_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    files = Space(tmp_path / "spool.db", Limits(32 * MB))
    assert not files.load_ballast()
    assert list(tmp_path.iterdir()) == []
