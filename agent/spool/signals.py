"""Wakes tasks when something is ready, without losing a wake-up.

A waiter is told of a condition, not of an event: whoever comes late finds the condition true and doesn't wait, and
whoever is woken looks again. No more are woken than have something to do.
"""

import math
from collections.abc import Callable

import trio


class Signal:
    """A condition that several tasks can wait for.

    Args:
        ready: for how many waiters it holds now.
        next_at: when it may come to hold by itself.
    """

    def __init__(self, ready: Callable[[], int], next_at: Callable[[], float] = lambda: math.inf) -> None:
        self._ready = ready
        self._next_at = next_at
        self._waiters: dict[trio.Event, float] = {}  # in the order in which they came, and when they wake by themselves

    async def wait(self) -> None:
        """Return once the condition holds."""
        await trio.lowlevel.checkpoint()
        while not self._ready():
            event = trio.Event()
            self._waiters[event] = wakes_at = self._next_at()
            try:
                with trio.move_on_at(wakes_at):
                    await event.wait()
            finally:
                self._waiters.pop(event, None)

    def poke(self) -> None:
        """Something has changed: wake as many waiters as it concerns."""
        if not self._waiters:
            return
        count = self._ready()
        if not count and self._next_at() < min(self._waiters.values()):
            count = 1  # to wait less long
        for event in list(self._waiters)[:count]:
            del self._waiters[event]
            event.set()
