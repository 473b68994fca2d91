"""The side of the spool where results go out."""

import sqlite3
from collections.abc import AsyncIterator, Mapping, Set
from functools import partial

import trio

from agent.errors import SpoolFull
from agent.model import PIECE_BYTES, Outcome, Result, Stream
from agent.spool import journal, outbox, upkeep
from agent.spool.core import Core
from agent.spool.outbox import Due
from agent.spool.tally import Verdict
from agent.spool.values import Delivery, Output
from agent.spool.writer import Kind

_DAMAGED = "The stored result was damaged on disk and can't be sent. Ask again: the command only reads."
_EMPTY: Mapping[Stream, Output] = {"stdout": Output(0, 0, ""), "stderr": Output(0, 0, "")}


class Results(Core):
    """Take, send, settle."""

    async def take(self, limit: int) -> list[Delivery]:
        """The oldest due results, at most `limit`. Each is the caller's until it says `delivered`, `rejected`,
        `postponed`, `cut` or `release`.

        That an attempt is made is on disk before it is. If that can't be written the attempt is made all the same:
        a full disk must not keep results from leaving.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        found = [self._taken.popleft() for _ in range(min(limit, len(self._taken)))]
        try:
            if len(found) < limit:
                found += await self._take(limit - len(found))
            return [await self._checked(due) for due in found]
        except BaseException:
            for due in found:
                self._tally.in_flight.pop(due.seq, None)
            raise

    async def _take(self, limit: int) -> list[Due]:
        async with self._taking:
            await self._record()
            if not self._tally.due:  # a sibling that was woken too has it already
                return []
            without = self._tally.not_due() | self._tally.handing
            try:
                return await self._writer.run(
                    lambda db: outbox.due(db, limit, without, record=True), Kind.STATE, then=self._took
                )
            except SpoolFull:
                return await self._writer.run(
                    lambda db: outbox.due(db, limit, without, record=False), Kind.READ, then=self._took
                )

    def _took(self, found: list[Due]) -> None:
        for due in found:
            self._tally.in_flight[due.seq] = due.bytes

    async def _checked(self, due: Due) -> Delivery:
        """What is stored if it is what was written, and else an error result in its place."""
        whole = due.whole
        if whole is None:
            crcs = {stream: await self._crc(due.seq, stream) for stream in journal.STREAMS}
            whole = outbox.checksum(due.command_id, due.result, due.output, crcs) == due.crc
        result, output = due.result, due.output
        if not whole:
            result, output = Result(Outcome.DAMAGED, error=_DAMAGED), _EMPTY
            await self._replace(due)
        return Delivery(
            due.seq,
            due.command_id,
            result,
            due.attempts,
            due.correlation_id,
            due.session_id,
            due.executed_at,
            output,
            self.pieces,
        )

    async def _crc(self, seq: int, stream: Stream) -> int:
        crc, part = 0, 0
        while True:
            more = await self._writer.run(
                partial(outbox.piece_crc, seq=seq, stream=stream, part=part, crc=crc), Kind.READ
            )
            if more is None:
                return crc
            crc, part = more, part + 1

    async def _replace(self, due: Due) -> None:
        self._log.error("stored result was damaged, an error takes its place", command_id=due.command_id)
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> None:
            journal.replace_result(db, due.seq, due.command_id, _DAMAGED, now)
            upkeep.note(db, damage=f"{now.readable}: the result of {due.command_id} was damaged on disk")

        def then(_: None) -> None:
            self._tally.spooled_bytes -= self._tally.in_flight.get(due.seq, 0)
            self._tally.in_flight[due.seq] = 0

        try:
            await self._writer.run(work, Kind.STATE, then=then)
        except SpoolFull:
            self._log.warning("damaged result couldn't be replaced on disk yet", command_id=due.command_id)

    async def pieces(self, seq: int, stream: Stream) -> AsyncIterator[str]:
        """The text of one stream of a result, piece by piece."""
        part = 0
        while True:
            text = await self._writer.run(partial(outbox.piece, seq=seq, stream=stream, part=part), Kind.READ)
            if text is None:
                return
            yield text
            part += 1

    async def delivered(self, seq: int, status: int) -> None:
        """The API has it. A small output stays for a while, for people to look at, while there is room."""
        await self._settle(seq, Verdict("delivered", status, None))

    async def rejected(self, seq: int, status: int | None, words: str) -> None:
        """The API refuses this result for good. It is kept, and can be sent again by hand."""
        await self._settle(seq, Verdict("rejected", status, words))

    async def _settle(self, seq: int, verdict: Verdict) -> None:
        """Write it down; while that is impossible, remember it, so that the result isn't sent again."""
        size = self._tally.in_flight.get(seq, 0)
        self._tally.unrecorded[seq] = verdict
        self._tally.in_flight.pop(seq, None)
        try:
            if not self._tally.due:
                await self._write_verdict(seq, verdict, size)
            else:
                async with self._taking:  # the caller has time for another result then
                    await self._write_verdict(seq, verdict, size, self._tally.not_due() | self._tally.handing)
        except SpoolFull as error:
            self._log.warning("delivery couldn't be written down yet", seq=seq, reason=str(error))

    async def _write_verdict(self, seq: int, verdict: Verdict, size: int, take_but: Set[int] | None = None) -> None:
        """`take_but`: take the next result in the same commit, but none of these."""
        plan = self._space.plan
        keep = size <= PIECE_BYTES and self._space.used_bytes < plan.soft_bytes // 2
        kept = size if keep and verdict.state == "delivered" else 0
        over = self._tally.kept_bytes + kept > plan.kept_bytes
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> tuple[bool, int | None, list[Due]]:
            changed = outbox.settle(db, seq, verdict.state, verdict.status, verdict.words, now, keep=keep)
            left = upkeep.drop_kept(db, plan.kept_bytes * 3 // 4)[1] if over else None
            return changed, left, [] if take_but is None else outbox.due(db, 1, take_but, record=True)

        def then(done: tuple[bool, int | None, list[Due]]) -> None:
            changed, left, found = done
            self._took(found)
            self._taken.extend(found)
            self._tally.unrecorded.pop(seq, None)
            if changed:
                self._tally.settle(seq, size, verdict.state)
            self._tally.kept_bytes = self._tally.kept_bytes + kept if left is None else left

        await self._writer.run(work, Kind.STATE, then=then)

    async def _record(self) -> None:
        """Write down what couldn't be written before."""
        for seq, verdict in list(self._tally.unrecorded.items()):
            size = await self._writer.run(partial(outbox.stored_bytes, seq=seq), Kind.READ)
            try:
                await self._write_verdict(seq, verdict, size)
            except SpoolFull:
                return

    async def postponed(self, seq: int, seconds: float, status: int | None, words: str) -> None:
        """It wasn't delivered; it is due again after `seconds`. What is written down is for people only."""
        self._tally.postponed[seq] = trio.current_time() + seconds
        self.release(seq)
        until = self._clock.now().unix_ms + round(seconds * 1000)
        try:
            await self._writer.run(lambda db: outbox.postpone(db, seq, until, status, words), Kind.STATE)
        except SpoolFull:
            self._log.debug("postponement couldn't be written down", seq=seq)

    async def cut(self, seq: int, max_bytes: int) -> None:
        """Shorten the output to at most `max_bytes` a stream and mark it; it is due again at once, cut or not."""

        def then(size: int) -> None:
            self._tally.spooled_bytes += size - self._tally.in_flight.get(seq, size)

        try:
            await self._writer.run(lambda db: outbox.cut(db, seq, max_bytes), Kind.STATE, weight=max_bytes, then=then)
        finally:
            self.release(seq)

    def release(self, seq: int) -> None:
        """Give a taken result back without a word about it."""
        self._tally.in_flight.pop(seq, None)
        self._changed()
