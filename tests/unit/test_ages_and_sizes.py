"""Ages and sizes as a person would say them."""

import pytest

from agent.errors import age, counted, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (1_000, "16 min"),
        (7_200, "2 h"),
        (7_500, "2 h 5 min"),
        (86_399, "23 h"),
        (5 * 86_400 + 4 * 3_600, "5 d 4 h"),
        (400 * 86_400, "400 d"),
    ],
)
def test_ages(seconds, words):
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (1_023, "1.0 KiB"),
        (1_024, "1 KiB"),
        (3_482, "3.4 KiB"),
        (256 << 20, "256 MiB"),
        (5 << 40, "5120 GiB"),
    ],
)
def test_sizes(count, words):
    assert size(count) == words


def test_counts():
    assert [counted(n, "result") for n in (0, 1, 2)] == ["0 results", "1 result", "2 results"]
