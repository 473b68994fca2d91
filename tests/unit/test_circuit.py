"""The circuit, with clock and chance in hand."""

import pytest

from agent.circuit import CAP_SECONDS, RETRY_AFTER_CAP_SECONDS, Circuit, backoff
from agent.errors import LinkDown


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def circuit(clock):
    return Circuit(lambda: 0.5, int, now=clock)


def test_backoff_is_full_jitter_under_a_doubling_bound():
    bounds = [backoff(n, lambda: 1.0) for n in range(1, 9)]
    assert bounds == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(5, lambda: 0.0) == 0
    assert backoff(5, lambda: 0.25) == 4
    assert backoff(0, lambda: 1.0) == 1
    assert backoff(10_000_000, lambda: 1.0) == CAP_SECONDS


def test_while_the_api_answers_nobody_waits(circuit, clock):
    assert circuit.pause == 0
    circuit.succeeded()
    assert circuit.last_success == clock.now
    assert not circuit.down


def test_delays_grow_with_each_failure_up_to_the_cap(circuit, clock):
    circuit.failed(LinkDown("refused"))
    assert (circuit.down, circuit.reason) == (True, "refused")
    delays = []
    for _ in range(9):
        delays.append(circuit.pause)
        clock.now += circuit.pause
        assert circuit.pause == 0
        circuit.failed(LinkDown("reset"))
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert (circuit.failures, circuit.reason) == (10, "reset")


def test_success_ends_it(circuit, clock):
    circuit.failed(LinkDown("refused"))
    clock.now += 10
    assert circuit.seconds == 10
    circuit.succeeded()
    assert (circuit.down, circuit.seconds, circuit.pause, circuit.reason) == (False, 0, 0, None)
    circuit.failed(LinkDown("refused"))
    assert circuit.pause == 0.5, "the next outage begins with a short delay again"


@pytest.mark.parametrize(("asked", "least"), [(7, 7), (1e9, RETRY_AFTER_CAP_SECONDS), (-5, 0.5), (0.1, 0.5)])
def test_retry_after_is_honoured_within_bounds(circuit, asked, least):
    circuit.failed(LinkDown("busy", retry_after=asked))
    assert least <= circuit.pause <= least * 1.1


def test_a_cap_of_its_own(clock):
    circuit = Circuit(lambda: 1.0, int, cap=10, now=clock)
    waits = []
    for _ in range(7):
        circuit.failed(LinkDown("refused"))
        waits.append(circuit.pause)
        clock.now += circuit.pause
    assert waits == [1, 2, 4, 8, 10, 10, 10]
