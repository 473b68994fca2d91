from pathlib import Path

import pytest

from agent.spool.clock import Clock, Stamp, boot_id


def clock(wall: float, uptime: float, boot: str = "one") -> Clock:
    return Clock(lambda: wall, lambda: uptime, boot)


@pytest.mark.parametrize("wall", [0.0, 100.0, 1e9])
def test_within_a_boot_the_wall_clock_says_nothing(wall: float) -> None:
    assert clock(wall, 25).age_ms(Stamp(5_000, "one", 10_000)) == 15_000


def test_an_age_is_never_negative() -> None:
    assert clock(0, 5).age_ms(Stamp(0, "one", 10_000)) == 0
    assert clock(0, 5, "").age_ms(Stamp(10_000, "", 10_000)) == 0


@pytest.mark.parametrize(("wall", "age_ms"), [(100.0, 90_000), (10.0, 40_000), (0.0, 40_000)])
def test_across_boots_an_age_is_at_least_the_uptime(wall: float, age_ms: int) -> None:
    assert clock(wall, 40, "two").age_ms(Stamp(10_000, "one", 10_000)) == age_ms


def test_without_a_boot_id_only_the_wall_clock_is_left() -> None:
    assert clock(100, 1e6, "").age_ms(Stamp(40_000, "", 10_000)) == 60_000
    assert clock(100, 1e6, "one").age_ms(Stamp(40_000, "", 10_000)) == 60_000


def test_the_real_clocks_agree_with_themselves(tmp_path: Path) -> None:
    clock = Clock()
    assert clock.age_ms(clock.now()) < 60_000
    assert boot_id() == boot_id()
    assert boot_id(tmp_path / "none") == ""


def test_a_stamp_is_readable() -> None:
    assert Stamp(1_800_000_000_999, "", 0).readable == "2027-01-15T08:00:00Z"
