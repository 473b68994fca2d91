"""Upkeep at its times; and it says once when the spool becomes full, and once when it no longer is."""

from typing import Any

import pytest
import trio

from agent.errors import SpoolError, SpoolFull
from agent.maintenance import EVERY_SECONDS, maintain
from agent.metrics import Metrics
from agent.model import Command, Outcome, Result
from agent.spool.clock import Clock


async def test_it_sweeps_at_once_and_then_at_its_times(small_spool, monkeypatch, virtual_clock, events):
    swept, refreshed = [], []
    real = small_spool.sweep

    async def sweep():
        swept.append(trio.current_time())
        return await real()

    monkeypatch.setattr(small_spool, "sweep", sweep)
    metrics = Metrics()
    with trio.move_on_after(EVERY_SECONDS * 5 - 1):
        await maintain(small_spool, lambda: refreshed.append(1), metrics)
    assert len(swept) == len(refreshed) == 5
    assert 0 < metrics.alive_until["maintenance"] - trio.current_time() <= 180


async def test_what_is_old_is_forgotten_and_told(small_spool, monkeypatch, virtual_clock, events):
    await small_spool.accept([Command("a", ("get", "pods"))], Result(Outcome.BUSY))
    delivery = await small_spool.take()
    small_spool.delivered(delivery.seq, 200)
    now = small_spool._clock
    clock = Clock(lambda: now.wall() + 2e5, lambda: now.uptime() + 2e5, now.boot)
    monkeypatch.setattr(small_spool, "_clock", clock)
    with trio.move_on_after(1):
        await maintain(small_spool, lambda: None, Metrics())
    assert [line["count"] for line in events["old results removed"]] == [1]


async def test_a_sweep_that_fails_is_told_once_and_tried_again(small_spool, monkeypatch, virtual_clock, events):
    tries = []
    real = small_spool.sweep

    async def sweep():
        tries.append(1)
        if len(tries) in {1, 2, 3, 5}:
            raise SpoolFull("no room")
        return await real()

    monkeypatch.setattr(small_spool, "sweep", sweep)
    with trio.move_on_after(EVERY_SECONDS * 6 - 1):
        await maintain(small_spool, lambda: None, Metrics())
    assert len(tries) == 6
    assert len(events["sweep failed, trying again"]) == 2, "once for each time that it began to fail"


async def test_a_spool_that_is_broken_ends_the_task(small_spool, monkeypatch):
    async def sweep():
        raise SpoolError("damaged")

    monkeypatch.setattr(small_spool, "sweep", sweep)
    with pytest.raises(SpoolError, match="damaged"):
        await maintain(small_spool, lambda: None, Metrics())


class FullInTurns:
    """A spool that is full or not, turn by turn."""

    pending = 7

    def __init__(self, *because):
        self.because = list(because)

    async def sweep(self):
        pass

    @property
    def full_because(self):
        return self.because.pop(0) if len(self.because) > 1 else self.because[0]


async def test_full_and_room_again_are_told_once_each(virtual_clock, events):
    spool: Any = FullInTurns(None, "a reason", "another", None, None)
    with trio.move_on_after(EVERY_SECONDS * 8):
        await maintain(spool, lambda: None, Metrics())
    (line,) = events["spool full, no commands are taken"]
    assert (line["because"], line["results_waiting"]) == ("a reason", 7)
    assert len(events["spool has room again, commands are taken"]) == 1
