"""Waiting for a turn at the API, and for its being known, under virtual time."""

import math

import pytest
import trio

from agent.circuit import UNRECOGNISED_SECONDS, Circuit, Trust
from agent.errors import LinkDown


@pytest.fixture
def circuit():
    return Circuit(lambda: 0.5, lambda: 42)


def fail(circuit, problem="refused", **more):
    circuit.failed(LinkDown(problem, **more))


CHECK = "`kubently-agent check` goes the way step by step"


async def test_a_turn_comes_when_the_delay_is_over(circuit, autojump_clock):
    began = trio.current_time()
    await trio.sleep(circuit.pause)
    assert trio.current_time() == began
    fail(circuit)
    await trio.sleep(circuit.pause)
    assert trio.current_time() - began == pytest.approx(0.5)
    fail(circuit, retry_after=30)
    await trio.sleep(circuit.pause)
    assert 30 <= trio.current_time() - began - 0.5 <= 33


async def test_begin_and_end_are_told_once_with_their_counts(circuit, events, autojump_clock):
    """With what to do, if the API never answered: then it may be a mistake in the configuration."""
    for _ in range(4):
        await trio.sleep(circuit.pause)
        fail(circuit, "connection refused", hint="Is it up?")
    await trio.sleep(circuit.pause)
    circuit.succeeded()
    assert events.lines == [
        ("API can't be reached", {"reason": "connection refused", "results_waiting": 42, "todo": CHECK}),
        ("API reached again", {"outage_seconds": 7.5, "failed_attempts": 4, "results_waiting": 42}),
    ]
    fail(circuit, "reset", hint="Is it up?")
    assert events.lines[2:] == [
        ("API can't be reached", {"reason": "reset", "results_waiting": 42, "todo": "Is it up?"})
    ]


async def test_a_long_outage_is_mentioned_now_and_then(circuit, events, autojump_clock):
    began = trio.current_time()
    told: list[int] = []
    while trio.current_time() - began < 3 * 3600:
        await trio.sleep(circuit.pause)
        fail(circuit)
        if len(events.lines) > len(told) + 1:
            told.append(math.floor((trio.current_time() - began) / 60))
    assert [minutes.bit_length() for minutes in told] == list(range(1, 9)), told
    said = [event for event, _ in events.lines]
    assert said[3].startswith("API still can't be reached after 4 min")


async def test_a_new_outage_is_told_anew(circuit, events, autojump_clock):
    for _ in range(2):
        fail(circuit)
        circuit.succeeded()
    assert [event for event, _ in events.lines] == ["API can't be reached", "API reached again"] * 2


class Asked:
    """What is asked to recognise the API: answers as planned, then with yes."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.at = []

    async def __call__(self):
        self.at.append(trio.current_time())
        await trio.sleep(0.1)
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer


def trusting(circuit, asked):
    return Trust(Circuit(lambda: 0.5, lambda: 7, what="status"), circuit, asked)


async def test_at_the_start_nothing_is_known_and_one_asks_for_all(circuit, autojump_clock):
    asked = Asked()
    trust = trusting(circuit, asked)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(trust.wait)
    assert len(asked.at) == 1
    await trust.wait()
    assert len(asked.at) == 1
    trust.doubt()
    await trust.wait()
    assert len(asked.at) == 2


async def test_while_nothing_answers_it_is_asked_ever_more_slowly(circuit, events, autojump_clock):
    asked = Asked(*[LinkDown("refused")] * 4)
    began = trio.current_time()
    await trusting(circuit, asked).wait()
    pauses = [round(later - at, 1) for at, later in zip(asked.at, asked.at[1:], strict=False)]
    assert asked.at[0] == began
    assert pauses == [0.6, 1.1, 2.1, 4.1]
    assert [event for event, _ in events.lines] == ["status can't be reached", "status reached again"]


@pytest.mark.parametrize("aside", [False, True])
async def test_in_an_outage_the_poller_finds_out_unless_results_go_another_way(circuit, aside, autojump_clock):
    asked = Asked()
    trust = trusting(circuit, asked)
    trust.aside = aside
    fail(circuit)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trust.wait)
        await trio.sleep(100)
        assert len(asked.at) == aside
        trust.recognised()


async def test_once_the_poller_has_stopped_those_who_wait_find_out(circuit, autojump_clock):
    """Else what a drain could still deliver would wait for a poll that never comes."""
    asked = Asked()
    trust = trusting(circuit, asked)
    fail(circuit)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trust.wait)
        await trio.sleep(10)
        assert asked.at == []
        trust.aside = True
    assert len(asked.at) == 1


async def test_what_isnt_recognised_waits_for_the_poller(circuit, autojump_clock):
    asked = Asked(False, LinkDown("HTTP 200 in HTML", status=200))
    trust = trusting(circuit, asked)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trust.wait)
        await trio.sleep(UNRECOGNISED_SECONDS + 5)
        assert len(asked.at) == 2
        began = trio.current_time()
        trust.recognised()
    assert trio.current_time() == began


async def test_results_wait_as_long_as_the_api_asks(circuit, autojump_clock):
    asked = Asked()
    trust = trusting(circuit, asked)
    trust.recognised()
    trust.doubt("busy", 20)
    began = trio.current_time()
    await trust.wait()
    assert 20 <= trio.current_time() - began <= 23
    trust.doubt("busy", 20)
    trust.recognised()
    await trust.wait()
    assert trio.current_time() - began <= 23, "a poll that goes well says that it is over"
