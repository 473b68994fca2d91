"""Turns at the API: the outage's picture with waiting and telling added, for tasks.

async with reach.turn() as attempt:     # waits while there is an outage and it isn't this task's turn to probe
    ...
    attempt.failed("connection refused")  # or attempt.succeeded(); neither: nothing was found out
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from agent.log import Log
from agent.outage import Outage

REMINDERS_SECONDS = (60.0, 300.0, 600.0)
"""How long into an outage it is mentioned again; from the last on, at that distance."""


class Attempt:
    """One turn. `probe` is true when the API is thought to be away and this is to find out."""

    def __init__(self, reach: "Reach", *, probe: bool) -> None:
        self._reach = reach
        self.probe = probe
        self.settled = False

    def succeeded(self) -> None:
        """The API answered as its contract says."""
        self.settled = True
        self._reach.on_success(probe=self.probe)

    def failed(self, reason: str, *, retry_after: float | None = None) -> None:
        """The API didn't answer, or something else did. `retry_after` in seconds, if the server asked for a pause."""
        self.settled = True
        self._reach.on_failure(reason, probe=self.probe, retry_after=retry_after)


class Reach:
    """Shared by poller and uploader. Where commands arrive on a stream of their own the poller has one of its own.

    Args:
        outage: the picture.
        log: where the beginning, the end and the length of an outage are told.
        waiting: how many results wait for delivery, for those lines.
        what: what can't be reached, in those lines.
        wakes: another picture that is out of date once this outage is over.
    """

    def __init__(
        self,
        outage: Outage,
        log: Log,
        waiting: Callable[[], int],
        *,
        what: str = "API",
        wakes: "Reach | None" = None,
    ) -> None:
        self.outage = outage
        self._log = log
        self._waiting = waiting
        self._what = what
        self._wakes = wakes
        self._changed = trio.Event()
        self._reminders = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Attempt]:
        """Wait for a turn and take it."""
        while (wait := self.outage.wait()) > 0:
            with trio.move_on_after(wait):
                await self._changed.wait()
        attempt = Attempt(self, probe=self.outage.begin())
        try:
            yield attempt
        finally:
            if not attempt.settled:
                self.outage.abandon(probe=attempt.probe)
                self._wake()

    def on_success(self, *, probe: bool) -> None:
        """An attempt was answered."""
        ended = self.outage.succeeded(probe=probe)
        if ended is not None:
            self._log.info(
                f"{self._what} reached again",
                outage_seconds=round(ended.seconds, 1),
                failed_attempts=ended.failures,
                results_waiting=self._waiting(),
            )
            self._wake()
            if self._wakes is not None:
                self._wakes.on_success(probe=False)

    def on_failure(self, reason: str, *, probe: bool, retry_after: float | None) -> None:
        """An attempt failed."""
        begins = self.outage.failed(reason, probe=probe, retry_after=retry_after)
        if begins:
            self._reminders = 0
            todo = None if self.outage.last_success is not None else "`kubently-agent check` goes the way step by step"
            self._log.warning(
                f"{self._what} can't be reached", reason=reason, results_waiting=self._waiting(), todo=todo
            )
        elif self.outage.seconds >= self._next_reminder():
            self._reminders += 1
            self._log.warning(
                f"{self._what} still can't be reached after {_minutes(self.outage.seconds)}",
                reason=reason,
                failed_attempts=self.outage.failures,
                results_waiting=self._waiting(),
            )
        self._wake()

    def _next_reminder(self) -> float:
        beyond = self._reminders - (len(REMINDERS_SECONDS) - 1)
        if beyond <= 0:
            return REMINDERS_SECONDS[self._reminders]
        return REMINDERS_SECONDS[-1] * (1 + beyond)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
