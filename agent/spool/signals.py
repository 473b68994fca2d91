"""Wakes tasks when something is ready, without losing a wake-up.

A waiter is told of a condition, not of an event: whoever comes late finds the condition true and doesn't wait, and
whoever is woken looks again.
"""

import math
from collections.abc import Callable

import trio


def _never() -> float:
    return math.inf


class Signal:
    """A condition that several tasks can wait for."""

    def __init__(self, ready: Callable[[], bool], next_at: Callable[[], float] = _never) -> None:
        self._ready = ready
        self._next_at = next_at
        self._event = trio.Event()
        self._wakes_at = math.inf

    async def wait(self) -> None:
        """Return once the condition holds."""
        await trio.lowlevel.checkpoint()
        while not self._ready():
            self._wakes_at = self._next_at()
            with trio.move_on_at(self._wakes_at):
                await self._event.wait()

    def poke(self) -> None:
        """Something has changed: wake the waiters if it concerns them."""
        if self._ready() or self._next_at() < self._wakes_at:
            self._event.set()
            self._event = trio.Event()
