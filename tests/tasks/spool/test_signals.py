"""Waiting for a condition, without losing a wake-up."""

import trio
import trio.testing

from agent.spool.signals import Signal


async def test_no_more_waiters_are_woken_than_have_something_to_do() -> None:
    ready = 0
    signal, woken = Signal(lambda: ready), []

    async def wait(number: int) -> None:
        nonlocal ready
        await signal.wait()
        ready -= 1
        woken.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(wait, number)
            await trio.testing.wait_all_tasks_blocked()
        ready = 2
        signal.poke()
        assert len(signal._waiters) == 2
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(woken) == [0, 1]
        ready = 2
        signal.poke()
    assert sorted(woken) == [0, 1, 2, 3]


async def test_one_is_woken_to_wait_less_long(mock_clock: trio.testing.MockClock) -> None:
    mock_clock.autojump_threshold = 0
    until = 100.0
    signal = Signal(lambda: int(trio.current_time() >= until), lambda: until)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signal.wait)
        await trio.testing.wait_all_tasks_blocked()
        until = trio.current_time() + 10.0
        signal.poke()
        signal.poke()
    assert trio.current_time() <= 11 + until - 10


async def test_a_waiter_that_is_cancelled_leaves_nothing_behind() -> None:
    signal = Signal(lambda: 0)
    with trio.move_on_after(0.01):
        await signal.wait()
    assert len(signal._waiters) == 0
    signal.poke()
