"""Turns at the API, under virtual time."""

import math

import pytest
import trio

from agent.log import Log
from agent.outage import Outage
from agent.reach import Reach


class Lines(Log):
    def __init__(self):
        self.said = []

    def _emit(self, level, event, fields):
        self.said.append((event, fields))


@pytest.fixture
def lines():
    return Lines()


@pytest.fixture
def reach(lines):
    return Reach(Outage(trio.current_time, lambda: 0.5), lines, lambda: 42)


async def fail(reach, reason="refused", **kwargs):
    async with reach.turn() as attempt:
        attempt.failed(reason, **kwargs)


async def test_everybody_may_go_while_the_api_answers(reach):
    async with reach.turn() as first, reach.turn() as second:
        assert not first.probe
        assert not second.probe
        first.succeeded()


async def test_one_probes_the_others_wait_for_its_outcome(reach, autojump_clock):
    order: list[tuple[str, bool, object]] = []

    async def other(name):
        async with reach.turn() as attempt:
            order.append((name, attempt.probe, trio.current_time() - began))

    began = trio.current_time()
    await fail(reach)
    async with trio.open_nursery() as nursery, reach.turn() as probe:
        assert probe.probe
        assert trio.current_time() - began == pytest.approx(0.5)
        nursery.start_soon(other, "a")
        nursery.start_soon(other, "b")
        await trio.sleep(7)
        assert order == []
        probe.succeeded()
    assert sorted(order) == [("a", False, pytest.approx(7.5)), ("b", False, pytest.approx(7.5))]


async def test_a_cancelled_probe_passes_its_turn_on(reach, autojump_clock):
    await fail(reach)
    with trio.move_on_after(3):
        async with reach.turn():
            await trio.sleep_forever()
    with trio.fail_after(1):
        async with reach.turn() as attempt:
            assert attempt.probe


CHECK = "`kubently-agent check` goes the way step by step"


async def test_begin_and_end_are_told_once_with_their_counts(reach, lines, autojump_clock):
    """With what to do, if the API never answered: then it may be a mistake in the configuration."""
    for _ in range(4):
        await fail(reach, "connection refused")
    async with reach.turn() as attempt:
        attempt.succeeded()
    assert lines.said == [
        ("API can't be reached", {"reason": "connection refused", "results_waiting": 42, "todo": CHECK}),
        ("API reached again", {"outage_seconds": 7.5, "failed_attempts": 4, "results_waiting": 42}),
    ]
    await fail(reach, "reset")
    assert lines.said[2:] == [("API can't be reached", {"reason": "reset", "results_waiting": 42, "todo": None})]


async def test_a_long_outage_is_mentioned_now_and_then(reach, lines, autojump_clock):
    began = trio.current_time()
    told: list[int] = []
    while trio.current_time() - began < 3 * 3600:
        await fail(reach)
        if len(lines.said) > len(told) + 1:
            told.append(math.floor((trio.current_time() - began) / 60))
    assert told[:4] == [1, 5, 10, 20]
    assert 17 <= len(told) <= 20, told
    events = [event for event, _ in lines.said]
    assert events[3] == "API still can't be reached after 10 min"
    assert events[-1].startswith("API still can't be reached after 3 h")


async def test_a_new_outage_is_told_anew(reach, lines, autojump_clock):
    for _ in range(2):
        await fail(reach)
        async with reach.turn() as attempt:
            attempt.succeeded()
    assert [event for event, _ in lines.said] == ["API can't be reached", "API reached again"] * 2


async def test_retry_after_makes_everybody_wait(reach, autojump_clock):
    await fail(reach, retry_after=30)
    began = trio.current_time()
    async with reach.turn():
        assert 30 <= trio.current_time() - began <= 33


async def test_results_wait_no_longer_once_the_stream_is_back(reach, autojump_clock):
    said = Lines()
    stream = Reach(Outage(trio.current_time, lambda: 0.5, cap=10), said, lambda: 0, what="event stream", wakes=reach)
    for _ in range(7):
        await fail(reach)
    await fail(stream)
    async with stream.turn() as attempt:
        assert reach.outage.wait() > 0
        attempt.succeeded()
    assert reach.outage.wait() == 0
    assert [event for event, _ in said.said] == ["event stream can't be reached", "event stream reached again"]


async def test_results_flow_while_the_stream_is_down(reach, autojump_clock):
    stream = Reach(Outage(trio.current_time, lambda: 0.5, cap=10), Lines(), lambda: 0, wakes=reach)
    await fail(stream)
    began = trio.current_time()
    for _ in range(3):
        async with reach.turn() as attempt:
            assert not attempt.probe
            attempt.succeeded()
    assert trio.current_time() == began
    assert stream.outage.down, "that results are taken says nothing of the stream"
