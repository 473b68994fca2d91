"""One kubectl's share of the memory."""

from pathlib import Path

import pytest

from agent.executor import _from_exit
from agent.kubectl import Exit
from agent.kubectl.memory import LEAST_BYTES, MIB, MOST_BYTES, Complaint, data_limit
from agent.model import Outcome


@pytest.mark.parametrize(
    ("limit", "share"),
    [
        (f"{256 * MIB}\n", 192 * MIB),
        (f"{512 * MIB}\n", 448 * MIB),
        (f"{100 * MIB}\n", LEAST_BYTES),
        (f"{64 << 30}\n", MOST_BYTES),
        ("9223372036854771712\n", MOST_BYTES),
        ("max\n", MOST_BYTES),
        ("", MOST_BYTES),
    ],
)
def test_what_the_containers_limit_leaves_beside_the_agent(tmp_path: Path, limit: str, share: int):
    (tmp_path / "memory.max").write_text(limit)
    assert data_limit([tmp_path / "absent", tmp_path / "memory.max"]) == share


def test_no_container(tmp_path: Path):
    assert data_limit([tmp_path / "absent"]) == MOST_BYTES


@pytest.mark.parametrize(
    "said",
    [
        "fatal error: runtime: out of memory\n",
        "fatal error: runtime: cannot allocate memory\n",
        "runtime: cannot allocate 4194304-byte block\nfatal error: out of memory allocating heap arena map\n",
    ],
)
def test_gos_words_for_it(said: str):
    complaint = Complaint()
    for character in said:
        complaint.add(character)
    assert complaint.out_of_memory


@pytest.mark.parametrize(
    "said", ["", "Error: pod fatal error: out of memory\n", "fatal error: all goroutines asleep\n"]
)
def test_other_words(said: str):
    complaint = Complaint()
    complaint.add(said)
    assert not complaint.out_of_memory


def test_no_more_is_kept_than_needed():
    complaint = Complaint()
    for _ in range(100):
        complaint.add("x" * 60_000 + "\n")
    assert len(complaint._said) < 10_000


def test_the_sender_is_told_what_to_do():
    ended = Exit(2, None, timed_out=False, duration_ms=900, stdout_bytes=0, truncated=False, out_of_memory=True)
    result = _from_exit(ended, 10.0)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, 2)
    assert result.error is not None
    assert "Ask for less" in result.error
