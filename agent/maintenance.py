"""Keeps the spool small and healthy: retention, checkpoint, giving space back, the reserve for a full disk."""

from collections.abc import Callable

import trio

from agent.errors import SpoolFull
from agent.log import Log
from agent.metrics import Metrics
from agent.spool import Spool

log = Log("maintenance")

EVERY_SECONDS = 10.0  # so that space comes back while a backlog drains, and an idle agent stays below 0.2 % CPU
SHORT_OF_ROOM_SECONDS = 2.0  # when the spool is full: only a sweep deletes the output that is kept for people
TURNS_WITHIN_SECONDS = 180.0  # without a sweep for so long the loop, the spool's thread or the disk hangs


async def maintain(spool: Spool, refresh: Callable[[], object], metrics: Metrics) -> None:
    """Sweep for ever; what fails, as on a full disk, is tried again next time. `refresh` re-reads the policy file."""
    failing = full = False
    while True:
        metrics.alive_until["maintenance"] = trio.current_time() + TURNS_WITHIN_SECONDS
        refresh()
        try:
            await spool.sweep()
            failing = False
        except SpoolFull as error:
            if not failing:
                log.error("sweep failed, trying again", reason=str(error))
            failing = True
        because = spool.full_because
        if because is not None and not full:
            log.warning("spool full, no commands are taken", because=because, results_waiting=spool.pending)
        if because is None and full:
            log.info("spool has room again, commands are taken", results_waiting=spool.pending)
        full = because is not None
        await trio.sleep(SHORT_OF_ROOM_SECONDS if full else EVERY_SECONDS)
