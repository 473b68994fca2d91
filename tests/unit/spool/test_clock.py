import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.spool.clock import Clock, boot_id, follow, readable


def clock(wall: float, uptime: float, boot: str = "one") -> Clock:
    return Clock(lambda: wall, lambda: uptime, boot)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("create table meta (key text primary key, value text)")
        db.execute("create table commands (accepted_unix_ms, started_unix_ms)")
        db.execute("create table results (finished_unix_ms, settled_unix_ms, next_attempt_unix_ms)")
        db.execute("insert into commands values (90000, null)")
        yield db


def accepted(db: sqlite3.Connection) -> int:
    (ms,) = db.execute("select accepted_unix_ms from commands where started_unix_ms is null").fetchone()
    return int(ms)


@pytest.mark.parametrize("step", [-1000, 1000])
def test_a_clock_that_is_set_takes_all_times_with_it(db: sqlite3.Connection, step: int) -> None:
    follow(db, clock(100, 50))
    follow(db, clock(110 + step, 60))
    assert accepted(db) == 90_000 + step * 1000
    follow(db, clock(120 + step, 70))
    assert accepted(db) == 90_000 + step * 1000


def test_a_clock_that_drifts_changes_nothing_until_it_is_much(db: sqlite3.Connection) -> None:
    follow(db, clock(100, 50))
    for seconds in range(1, 5):
        follow(db, clock(100 + seconds * 11, 50 + seconds * 10))
    assert accepted(db) == 90_000
    follow(db, clock(155, 100))
    assert accepted(db) == 95_000


@pytest.mark.parametrize(("wall", "expected"), [(200, 90_000), (100, 60_000)])
def test_after_a_reboot_everything_is_older_than_the_machines_start(
    db: sqlite3.Connection, wall: int, expected: int
) -> None:
    follow(db, clock(100, 50))
    follow(db, clock(wall, 40, "two"))
    assert accepted(db) == expected


def test_without_a_boot_id_only_the_wall_clock_is_left(db: sqlite3.Connection) -> None:
    follow(db, clock(100, 50, ""))
    follow(db, clock(1000, 10, "two"))
    assert accepted(db) == 90_000


def test_the_real_clocks_agree_with_themselves(tmp_path: Path, db: sqlite3.Connection) -> None:
    follow(db, Clock())
    follow(db, Clock())
    assert accepted(db) == 90_000
    assert boot_id() == boot_id()
    assert boot_id(tmp_path / "none") == ""


def test_a_time_is_readable() -> None:
    assert readable(1_800_000_000_999) == "2027-01-15T08:00:00Z"
