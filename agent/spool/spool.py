"""The spool as the tasks see it.

A command waits for the disk twice: in `accept`, and in `finish`. All else is handed to the writer in order, and its
caller goes on. What waits, what runs and what is to be sent is in memory too, and is changed when a commit is known to
have happened: nobody asks the disk whose turn it is.
"""

import math
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import partial
from zlib import crc32

import trio

from agent.errors import DamagedResult
from agent.log import Log
from agent.model import Command, Result, Stream
from agent.spool import journal, maintenance, results
from agent.spool.clock import Clock, readable
from agent.spool.journal import Claim
from agent.spool.schema import note
from agent.spool.space import Space, own_bytes
from agent.spool.values import NOTHING, SMALL_BYTES, Counts, Delivery, Intake, Recovery, clean, split
from agent.spool.waiting import Pending, Signal
from agent.spool.writer import Job, Need, Writer

_KEPT_BYTES = 256 * 1024  # a larger output is given up when it is delivered
_FRESH = 4  # results, of at most HELD_BYTES each
_AT_ONCE = 4  # pieces of one output that are handed in before anybody waits, or read together

log = Log("spool")


class Spool:
    """Made by `open_spool`. All methods are for the event loop that opened it.

    Those that wait may raise `SpoolFull` (the disk or the cap; nothing was written, try again later) or `SpoolError`
    (the file can't be used any more). One that has begun is carried out even if its caller is cancelled.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        space: Space,
        clock: Clock,
        waiting: Sequence[tuple[int, Command]],
        recovery: Recovery,
        *,
        inline: bool = False,
    ) -> None:
        self.recovery = recovery
        self.patient = True  # False: the agent must end, and no write is tried again
        self._space = space
        self._clock = clock
        self._waiting = deque(waiting)
        self._running: dict[str, Claim] = {}
        self._fresh: dict[int, Delivery] = {}  # so that what can be sent at once needs no look into the file
        self._pending = pending = Pending(results.sizes(db), trio.current_time)
        self._unrecorded: deque[Job] = deque()  # verdicts that the disk refused
        self._swept = False  # since the last claim there was a round of maintenance
        self._wanted: list[str] = []  # ids whose results people want to be sent once more
        self.work = Signal(self._claimable)  # wakes executors: a command can be claimed
        self.space = Signal(lambda: self.room)  # wakes the poller: commands can be accepted
        self.due = Signal(lambda: int(pending.next() is not None), pending.next_at)  # wakes uploaders
        self.due_small = Signal(lambda: int(pending.next(SMALL_BYTES) is not None), pending.next_at)
        self.finished = Signal(lambda: int(not self.unfinished))  # wakes who waits until no command is left
        self.drained = Signal(lambda: int(not self.pending))  # and until no result is
        self._writer = Writer(db, space, self._changed, inline=inline)

    @property
    def full_because(self) -> str | None:
        """Why no commands are taken: there is no room for one more output. A sentence; None while they are."""
        return self._space.why_full(self.pending, self._pending.bytes) if self._space.full else None

    @property
    def room(self) -> int:
        """How many more commands may be accepted now."""
        return 0 if self._space.full else max(0, self._space.limits.journal - self.unfinished)

    @property
    def unfinished(self) -> int:
        """How many commands wait here or run."""
        return len(self._waiting) + len(self._running)

    @property
    def pending(self) -> int:
        """How many results aren't delivered yet."""
        return len(self._pending.sizes)

    # Commands come in, run, and end.

    async def accept(self, commands: Sequence[Command], result: Result | None = None) -> Intake:
        """Journal commands. A `result` is their answer, and they never run. Known ones have theirs sent again."""
        need = Need.GROW if result is None else Need.STATE
        new, known, due = await self._writer.run(need, journal.accept, commands, result, self._clock.unix_ms())
        if result is None:
            self._waiting.extend(new)
        self._due(due)
        return Intake(tuple(command.id for _, command in new), tuple(known))

    def _due(self, found: Sequence[journal.Due]) -> None:
        """Results are due. One that was so before, and that nobody here waits for, has a verdict on its way."""
        for seq, size, before in found:
            if not before or seq in self._pending.sizes:
                self._pending.add(seq, size)
        self._changed()

    def claim(self) -> Claim | None:
        """Take the oldest accepted command to run it. None if there is none or no room for output: wait for `work`."""
        if not self._claimable():
            return None
        plan = self._space.plan
        output_bytes = max(0, min(plan.output_bytes, self._free_bytes() - plan.reserve_bytes + plan.output_bytes))
        self._swept = False
        seq, command = self._waiting.popleft()
        claim = self._running[command.id] = Claim(command, output_bytes, seq, self._clock.unix_ms())
        self._writer.hand_in(Need.STATE, journal.start, seq, claim.started_unix_ms)
        return claim

    async def append(self, command_id: str, stream: Stream, text: str) -> None:
        """Hand in more output. Waits only while several pieces are under way. After one without room none is stored."""
        run = self._running[clean(command_id)]
        for piece in split(text):
            if len(run.under_way) == _AT_ONCE:
                await run.under_way.popleft().done.wait()
            if run.refused:
                return
            before = run.handed_in.get(stream, NOTHING)
            run.handed_in[stream] = after = before.plus(piece)
            args, stored = (run.seq, stream, before.parts, piece), partial(run.written.update, {stream: after})
            job = self._writer.hand_in(Need.GROW, journal.append, *args, then=stored, otherwise=run.refused.append)
            run.under_way.append(job)

    async def finish(self, command_id: str, result: Result, tail: Sequence[tuple[Stream, str]] = ()) -> None:
        """Store the last pieces of output and the result in one durable commit; it is due to be sent from then on.
        Does nothing if the command has a result already. After SpoolFull it still counts as running.
        """
        command_id = clean(command_id)
        run = self._running.get(command_id)
        if run is None:
            return
        if run.under_way:
            await run.under_way[-1].done.wait()
        found = await self._writer.run(Need.STATE, journal.finish, run, result, tail, self._clock.unix_ms())
        if found is not None:
            del self._running[command_id]
            self._pending.add(run.seq, found.bytes)
            if len(self._fresh) < _FRESH:
                self._fresh[run.seq] = found
            self._changed()

    # Results go out.

    async def take(self, most_bytes: float = math.inf) -> Delivery | None:
        """Take the oldest due result, with at most so many bytes of output. It belongs to the caller until they call
        `delivered`, `rejected`, `postponed`, `cut` or `release`. None if there is none: wait for `due`, or `due_small`.
        """
        seq = self._pending.take(most_bytes)
        if seq is None:
            return None
        self._changed()  # there may be another for somebody else
        try:
            found = self._fresh.pop(seq, None)
            if found is None:
                found = await self._writer.run(Need.OUTSIDE, results.read, seq)
        except BaseException:
            self.release(seq)
            raise
        self._writer.hand_in(Need.STATE, results.count_attempt, seq)
        if not found.whole:
            self._replace(found)
        return found if found.texts is not None else replace(found, source=self._pieces)

    async def _pieces(self, delivery: Delivery, stream: Stream) -> AsyncGenerator[bytes, None]:
        stored = delivery.output[stream]
        part = size = crc = 0
        found: list[bytes] = []
        while size < stored.bytes:
            found = found or await self._writer.run(Need.OUTSIDE, results.pieces, delivery.seq, stream, part, _AT_ONCE)
            data = found.pop(0) if found else b""
            part, size, crc = part + 1, size + len(data), crc32(data, crc)
            if not data or size > stored.bytes or (size == stored.bytes and crc != stored.crc):
                self._replace(delivery)
                raise DamagedResult(f"The stored result of {delivery.command_id} is damaged.")
            yield data

    def _replace(self, damaged: Delivery) -> None:
        log.error("stored result was damaged, an error takes its place", command_id=damaged.command_id)
        args = (damaged.seq, damaged.command_id, self._clock.unix_ms())
        self._writer.hand_in(Need.STATE, results.store_damaged, *args)

    def delivered(self, seq: int, http_status: int) -> None:
        """The API has it. A small output stays for a while, for people to look at, while there is room."""
        self._settle(seq, "delivered", http_status, None)

    def rejected(self, seq: int, http_status: int | None, error: str) -> None:
        """The API refuses this result for good. It is kept, and can be sent again by hand."""
        self._settle(seq, "rejected", http_status, error)

    def _settle(self, seq: int, state: str, http_status: int | None, error: str | None) -> None:
        if not self._pending.is_taken(seq):
            return
        large = self._pending.remove(seq) > _KEPT_BYTES
        keep = state == "rejected" or not (large or self._space.short)
        verdict = (seq, state, http_status, error, self._clock.unix_ms(), keep)
        # While the disk refuses it, it stays in memory, so that nothing is sent again.
        self._writer.hand_in(Need.STATE, results.settle, *verdict, otherwise=self._unrecorded.append)
        if large:  # now, rather than in the midst of the next one
            self._writer.hand_in(Need.OUTSIDE, maintenance.checkpoint, self._clock, self._space, False)

    def postponed(self, seq: int, seconds: float, http_status: int | None, error: str) -> None:
        """It wasn't delivered; it is due again after `seconds`. What is written down is for people only."""
        self._pending.postpone(seq, seconds)
        until_ms = self._clock.unix_ms() + round(seconds * 1000)
        self._writer.hand_in(Need.STATE, results.postpone, seq, until_ms, http_status, error)
        self.due.poke_all()
        self.due_small.poke_all()

    async def cut(self, seq: int, max_bytes: int) -> None:
        """Shorten the output to at most `max_bytes` a stream and mark it; it is due again at once, cut or not."""
        try:
            now_ms = self._clock.unix_ms()
            self._pending.sizes[seq] = await self._writer.run(Need.STATE, results.cut, seq, max_bytes, now_ms)
        finally:
            self.release(seq)

    def release(self, seq: int) -> None:
        """Give a taken result back without recording anything."""
        self._pending.release(seq)
        self._changed()

    # Maintenance, and figures.

    async def sweep(self) -> None:
        """One round of maintenance. SpoolError is also for a failure of what was handed in, and for a replaced file."""
        if self._writer.failure is not None:
            raise self._writer.failure
        self._space.check_identity()
        for _ in range(len(self._unrecorded)):
            self._writer.put(self._unrecorded.popleft())
        self._wanted += maintenance.take_requests(self._space.path)
        if self._wanted:
            self._due(await self._writer.run(Need.STATE, journal.retry, self._wanted))
            self._wanted.clear()
        await maintenance.sweep(self._writer, self._space, self._clock, self.full_because)
        self._swept = True
        self._changed()

    async def try_write(self) -> None:
        """Write one small thing durably, to know whether that is possible. Raises SpoolFull or SpoolError."""
        await self._writer.run(Need.GROW, lambda db: note(db, checked_at=readable(self._clock.unix_ms())))

    async def counts(self) -> Counts:
        """The spool in numbers. Cheap, and doesn't wait behind a caller that gave up."""
        delivered, rejected, oldest_ms = await self._writer.run(Need.OUTSIDE, results.count)
        return Counts(
            accepted=len(self._waiting),
            running=len(self._running),
            pending=self.pending,
            pending_bytes=self._pending.bytes,
            oldest_pending_age_seconds=0 if oldest_ms is None else max(0, self._clock.unix_ms() - oldest_ms) / 1000,
            delivered=delivered,
            rejected=rejected,
            size_bytes=own_bytes(self._space.path),
            capacity_bytes=self._space.plan.capacity_bytes,
            free_bytes=self._space.free_bytes,
            full_because=self.full_because,
        )

    async def unanswered(self, limit: int) -> list[str]:
        """The ids of the oldest commands without a result that is delivered."""
        return await self._writer.run(Need.OUTSIDE, results.unanswered, limit)

    async def close(self) -> None:
        """Carry out what was handed in and close the file."""
        await self._writer.close()

    def _claimable(self) -> int:
        """How many commands can be claimed: with room for the output, or if not even maintenance could make room."""
        alone = self._swept and not self._running and not self._pending.sizes
        return len(self._waiting) if alone or self._free_bytes() >= self._space.plan.reserve_bytes else 0

    def _free_bytes(self) -> int:
        """The room beyond what the running commands may still need."""
        reserve = self._space.plan.reserve_bytes
        stored = (sum(written.bytes for written in run.written.values()) for run in self._running.values())
        return self._space.free_bytes - sum(max(0, reserve - size) for size in stored)

    def _changed(self) -> None:
        self.work.poke()
        self.space.poke()
        self.finished.poke()
        self.drained.poke()
        if not self.due_small.poke():  # else it is taken, and that is a change too
            self.due.poke()
