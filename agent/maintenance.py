"""Keeps the spool small and healthy: retention, checkpoint, giving space back, the reserve for a full disk."""

from collections.abc import Callable

import trio

from agent.errors import SpoolFull
from agent.log import Log
from agent.metrics import Metrics
from agent.spool import Spool

log = Log("maintenance")

EVERY_SECONDS = 10.0
"""Often enough that space comes back while a backlog drains, rarely enough that an idle agent stays below 0.2 % CPU."""

SHORT_OF_ROOM_SECONDS = 2.0
"""Sooner when the spool is full: only a sweep deletes the output that is kept for people."""

TURNS_WITHIN_SECONDS = 180.0
"""A sweep goes through the spool's thread: silence means that the loop, that thread or the disk hangs."""


class Maintenance:
    """The maintenance task. `refresh` re-reads files that operators may change, such as the policy."""

    def __init__(self, spool: Spool, refresh: Callable[[], object], metrics: Metrics) -> None:
        self._spool = spool
        self._refresh = refresh
        self._metrics = metrics
        self._full = False

    async def run(self) -> None:
        """Sweep for ever. If a sweep fails, as on a full disk, the next turn tries again."""
        failing = False
        while True:
            self._metrics.alive_until["maintenance"] = trio.current_time() + TURNS_WITHIN_SECONDS
            self._refresh()
            try:
                await self._spool.sweep()
                failing = False
            except SpoolFull as error:
                if not failing:
                    log.error("sweep failed, trying again", reason=str(error))
                failing = True
            self._tell_fullness()
            await trio.sleep(SHORT_OF_ROOM_SECONDS if self._spool.full else EVERY_SECONDS)

    def _tell_fullness(self) -> None:
        """Log when the spool becomes full, and why, and when it has room again."""
        because, waiting = self._spool.full_because, self._spool.pending
        if because is not None and not self._full:
            log.warning("spool full, no commands are taken", because=because, results_waiting=waiting)
        if because is None and self._full:
            log.info("spool has room again, commands are taken", results_waiting=waiting)
        self._full = because is not None
