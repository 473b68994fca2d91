"""The side of the spool that keeps it in order."""

import sqlite3
from collections.abc import Callable
from functools import partial

from agent.errors import SpoolFull
from agent.spool import retry, upkeep
from agent.spool.clock import Stamp
from agent.spool.results import Results
from agent.spool.values import Counts, Swept
from agent.spool.writer import Kind

_SLACK_BYTES = 1024 * 1024  # free pages that stay in the file, so that it doesn't shrink and grow all day


class Keeper(Results):
    """Sweep and count."""

    async def sweep(self) -> Swept:
        """One round of upkeep: forget what is old, give up kept output where room is short, shrink the files, mend the
        ballast, pick up what people asked for. In small commits, so that others don't wait for long.
        """
        await self._record()
        if self._space.grow(self._limits.max_bytes, self._limits.output_bytes):
            capacity = self._space.plan.capacity_bytes
            await self._writer.run(lambda db: upkeep.note(db, capacity_bytes=capacity), Kind.STATE)
        retried = await self._retry()
        try:
            removed = await self._forget()
            dropped = await self._drop()
            pages = await self._repeat(lambda db: upkeep.shrink(db, self._slack_pages), Kind.ALONE)
        except SpoolFull as error:
            self._log.warning("upkeep found no room to work in", reason=str(error))
            removed = dropped = pages = 0
        await self._measure()
        whole = pages > 0 or self._space.wal_bytes > self._space.plan.wal_bytes
        await self._writer.run(partial(upkeep.checkpoint, whole=whole), Kind.ALONE)
        ballast = self._space.load_ballast()
        return Swept(removed, dropped, pages * self._space.page_bytes, retried, ballast)

    async def try_write(self) -> None:
        """Write one small thing durably, to know whether that is possible. Raises SpoolFull or SpoolError."""
        now = self._clock.now().readable
        await self._writer.run(lambda db: upkeep.note(db, checked_at=now), Kind.GROW)

    @property
    def _slack_pages(self) -> int:
        return min(_SLACK_BYTES, self._space.plan.soft_bytes // 16) // self._space.page_bytes

    async def _repeat(self, work: Callable[[sqlite3.Connection], int], kind: Kind = Kind.STATE) -> int:
        total = 0
        while done := await self._writer.run(work, kind):
            total += done
        return total

    async def _forget(self) -> int:
        now, seconds, rows = self._clock.now(), self._limits.retention_seconds, self._space.plan.kept_rows
        old = await self._repeat(lambda db: upkeep.forget(db, now, seconds))
        if self._space.disk_full:  # by others: forgetting would make no room, and an id forgotten too early runs again
            return old
        return old + await self._repeat(lambda db: upkeep.forget_oldest(db, rows))

    async def _drop(self) -> int:
        plan = self._space.plan
        short = self._space.used_bytes > plan.soft_bytes // 2
        kept = 0 if short else plan.kept_bytes

        def work(db: sqlite3.Connection) -> int:
            return upkeep.drop_kept(db, kept)[0] + upkeep.drop_rejected(db, plan.rejected_bytes)

        return await self._writer.run(work, Kind.STATE)

    async def _retry(self) -> int:
        wanted = self._wishes.found()
        if not wanted:
            return 0

        def then(again: list[tuple[int, int, str]]) -> None:
            self._tally.again(again)

        again = await self._writer.run(lambda db: retry.retry(db, wanted), Kind.STATE, then=then)
        self._wishes.done(wanted)
        return len(again)

    async def _measure(self) -> None:
        await self._writer.run(upkeep.measure, Kind.READ, then=self._tally.measured)

    async def counts(self) -> Counts:
        """The spool in numbers. Cheap, and doesn't wait behind a caller that gave up."""
        oldest = await self._writer.run(_oldest_pending, Kind.READ)
        tally, space = self._tally, self._space
        return Counts(
            accepted=tally.accepted,
            running=tally.running,
            pending=self.pending,
            pending_bytes=tally.spooled_bytes,
            oldest_pending_age_seconds=0.0 if oldest is None else self._clock.age_ms(oldest) / 1000,
            delivered=tally.delivered,
            rejected=tally.rejected,
            size_bytes=space.size_bytes,
            capacity_bytes=space.plan.capacity_bytes,
            free_bytes=space.free_bytes,
            output_bytes=self.output_bytes,
            unrecorded=len(tally.unrecorded),
        )

    async def undelivered(self, limit: int) -> list[str]:
        """The command ids of the oldest results that aren't delivered, at most so many."""

        def work(db: sqlite3.Connection) -> list[str]:
            rows = db.execute("select command_id from commands where state = 'spooled' order by seq limit ?", (limit,))
            return [command_id for (command_id,) in rows]

        return await self._writer.run(work, Kind.READ)


def _oldest_pending(db: sqlite3.Connection) -> Stamp | None:
    row = db.execute(
        "select finished_unix_ms, finished_boot, finished_uptime_ms from results"
        " where seq = (select min(seq) from commands where state = 'spooled')"
    ).fetchone()
    return None if row is None else Stamp(*row)
