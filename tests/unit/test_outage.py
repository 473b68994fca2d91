"""The outage's picture, with clock and chance in hand."""

import math

import pytest

from agent.outage import CAP_SECONDS, RETRY_AFTER_CAP_SECONDS, Outage, backoff


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outage(clock):
    return Outage(clock, lambda: 0.5)


def fail(outage, reason="refused", **kwargs):
    return outage.failed(reason, probe=outage.begin(), **kwargs)


def test_backoff_is_full_jitter_under_a_doubling_bound():
    bounds = [backoff(n, lambda: 1.0) for n in range(1, 9)]
    assert bounds == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(5, lambda: 0.0) == 0
    assert backoff(5, lambda: 0.25) == 4
    assert backoff(0, lambda: 1.0) == 1
    assert backoff(10_000_000, lambda: 1.0) == CAP_SECONDS


def test_while_the_api_answers_everybody_may_talk(outage):
    assert outage.wait() == 0
    assert not outage.begin()
    assert outage.wait() == 0
    assert outage.succeeded(probe=False) is None


def test_a_failure_makes_everybody_wait_then_one_probes(outage, clock):
    assert fail(outage)
    assert outage.down
    assert outage.reason == "refused"
    assert outage.wait() == 0.5
    clock.now += 0.5
    assert outage.wait() == 0
    assert outage.begin()
    assert outage.wait() == math.inf, "only one probe at a time"


def test_delays_grow_with_each_failed_probe_up_to_the_cap(outage, clock):
    fail(outage)
    delays = []
    for _ in range(9):
        delays.append(outage.wait())
        clock.now += outage.wait()
        assert not fail(outage), "the outage began long ago"
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert outage.failures == 10


def test_attempts_that_fail_into_an_outage_say_nothing_new(outage):
    first, second = outage.begin(), outage.begin()
    outage.failed("reset", probe=first)
    assert not outage.failed("reset too", probe=second)
    assert outage.failures == 1
    assert outage.reason == "reset"


def test_success_ends_it_and_tells_its_length(outage, clock):
    fail(outage)
    clock.now += 10
    assert outage.seconds == 10
    ended = outage.succeeded(probe=outage.begin())
    assert (ended.seconds, ended.failures) == (10, 1)
    assert not outage.down
    assert outage.seconds == 0
    assert outage.wait() == 0
    assert outage.last_success == clock.now
    fail(outage)
    assert outage.wait() == 0.5, "the next outage begins with a short delay again"


def test_an_old_attempts_success_ends_it_too(outage):
    old = outage.begin()
    fail(outage)
    assert outage.succeeded(probe=old) is not None
    assert outage.wait() == 0


def test_a_late_probe_of_an_outage_that_has_ended_begins_a_new_one(outage, clock):
    old = outage.begin()
    fail(outage)
    clock.now += 1
    probe = outage.begin()
    outage.succeeded(probe=old)
    assert outage.failed("away again", probe=probe)
    assert outage.wait() == 0.5


def test_an_abandoned_probe_lets_another_try(outage, clock):
    fail(outage)
    clock.now += 1
    outage.abandon(probe=outage.begin())
    assert outage.wait() == 0
    outage.abandon(probe=False)
    assert outage.wait() == 0


@pytest.mark.parametrize(("asked", "least"), [(7, 7), (1e9, RETRY_AFTER_CAP_SECONDS), (-5, 0.5), (0.1, 0.5)])
def test_retry_after_is_honoured_within_bounds(outage, asked, least):
    fail(outage, retry_after=asked)
    assert least <= outage.wait() <= least * 1.1


def test_retry_after_of_a_latecomer_counts(outage):
    late = outage.begin()
    fail(outage)
    outage.failed("busy", probe=late, retry_after=20)
    assert 20 <= outage.wait() <= 22


def test_an_outage_of_its_own_cap(clock):
    outage = Outage(clock, lambda: 1.0, cap=10)
    waits = []
    for _ in range(7):
        fail(outage)
        waits.append(outage.wait())
        clock.now += outage.wait()
    assert waits == [1, 2, 4, 8, 10, 10, 10]
