"""The spool as the tasks see it: what each may ask of it, and what that changes.

A command waits for the disk twice: in `accept`, and in `finish`. All else is handed to the writer in order, and its
caller goes on. What waits, what runs and what is to be sent is in memory too, and is changed when a commit is known to
have happened: nobody asks the disk whose turn it is.
"""

import math
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from zlib import crc32

import trio

from agent.errors import DamagedResult, SpoolError
from agent.log import Log
from agent.model import Command, Malformed, Outcome, Result, Stream
from agent.spool import journal, maintenance, results
from agent.spool.clock import Clock, readable
from agent.spool.retry import retry, take_requests
from agent.spool.space import Space
from agent.spool.text import NOTHING, clean, split
from agent.spool.values import SMALL_BYTES, Claim, Counts, Delivery, Intake, Limits, Recovery
from agent.spool.waiting import Pending, Signal
from agent.spool.writer import Need, Writer

_KEPT_BYTES = 256 * 1024  # a larger output is given up when it is delivered
_DAMAGED = "The stored result was damaged on disk and can't be sent. Ask again: the command only reads."

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
        limits: Limits,
        clock: Clock,
        recovery: Recovery,
        waiting: Sequence[tuple[int, Command]],
        pending: dict[int, int],
        *,
        inline: bool,
    ) -> None:
        self.recovery = recovery
        self._space = space
        self._limits = limits
        self._clock = clock
        self._waiting = deque(waiting)
        self._running: dict[str, Claim] = {}
        self._pending = Pending(pending, trio.current_time)
        self._unrecorded: dict[int, Callable[[sqlite3.Connection], None]] = {}  # verdicts that aren't in the file yet
        self.work = Signal(self._claimable)
        """Wakes executors: a command can be claimed."""
        self.due = Signal(lambda: int(self._pending.next() is not None), self._pending.next_at)
        """Wakes uploaders: a result can be taken."""
        self.due_small = Signal(lambda: int(self._pending.next(SMALL_BYTES) is not None), self._pending.next_at)
        """Wakes uploaders: a result of at most SMALL_BYTES can be taken."""
        self.space = Signal(lambda: self.room)
        """Wakes the poller: commands can be accepted."""
        self._writer = Writer(db, space, self._changed, inline=inline)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more output: then no commands are taken."""
        return self._space.full

    @property
    def full_because(self) -> str | None:
        """Why, in a sentence; None if it isn't full."""
        return self._space.why_full(self.pending, sum(self._pending.sizes.values())) if self.full else None

    @property
    def room(self) -> int:
        """How many more commands may be accepted now."""
        return 0 if self.full else max(0, self._limits.journal - len(self._waiting) - len(self._running))

    @property
    def pending(self) -> int:
        """How many results aren't delivered yet."""
        return len(self._pending.sizes)

    @property
    def suspect(self) -> bool:
        """Whether something failed that a second try won't mend: the file may be broken."""
        return self._writer.failure is not None

    # Commands come in, run, and end.

    async def accept(self, commands: Sequence[Command]) -> Intake:
        """Journal commands in one durable commit. Known ids run nothing again; their results are sent again where they
        can be.

        Raises:
            SpoolFull: nothing was taken.
        """

        def then(accepted: journal.Accepted) -> None:
            new, _, again = accepted
            self._waiting.extend((seq, journal.storable(command)) for seq, command in new)
            self._again(again)

        work = partial(journal.accept, commands=commands, now_ms=self._clock.unix_ms())
        new, known, _ = await self._writer.run(work, Need.GROW, then=then)
        return Intake(tuple(command.id for _, command in new), tuple(known))

    async def answer(self, command: Command | Malformed, result: Result) -> Intake:
        """Journal a command that never runs, together with its result. A known id is treated as when accepting."""

        def then(accepted: journal.Accepted) -> None:
            new, _, again = accepted
            self._again([(seq, 0) for seq, _ in new] + again)

        work = partial(journal.answer, command=command, result=result, now_ms=self._clock.unix_ms())
        new, known, _ = await self._writer.run(work, Need.STATE, then=then)
        return Intake(tuple(command.id for _ in new), tuple(known))

    def _again(self, found: Sequence[tuple[int, int]]) -> None:
        """Results are due, some of them once more."""
        for seq, size in found:
            if seq not in self._unrecorded:
                self._pending.add(seq, size)

    def claim(self) -> Claim | None:
        """Take the oldest accepted command to run it. None if there is nothing, or no room for one more output: wait
        for `work`.
        """
        if not self._claimable():
            return None
        beside = self._space.reserve_bytes - self._space.output_bytes
        output_bytes = max(0, min(self._space.output_bytes, self._free_bytes() - beside))
        seq, command = self._waiting.popleft()
        now_ms = self._clock.unix_ms()
        claim = self._running[command.id] = Claim(command, output_bytes, seq, now_ms)
        self._writer.hand_in(partial(journal.start, seq=seq, now_ms=now_ms), Need.STATE)
        return claim

    async def append(self, command_id: str, stream: Stream, text: str) -> bool:
        """Hand in more of a running command's output. Waits only while the piece before is on its way.

        Returns:
            False if some of this command's output found no room on the disk: nothing after it is stored.
        """
        run = self._running[clean(command_id)]
        for piece in split(text):
            if run.last is not None:
                await run.last.wait()
            if run.lost:
                return False
            self._hand_in_piece(run, stream, piece)
        return not run.lost

    def _hand_in_piece(self, run: Claim, stream: Stream, piece: str) -> None:
        before = run.written.get(stream, NOTHING)
        after = run.written[stream] = before.plus(piece)

        def landed(_: object) -> None:
            run.stored_bytes += after.bytes - before.bytes

        def refused(_: SpoolError) -> None:
            run.lost = True

        work = partial(journal.append, seq=run.seq, stream=stream, part=before.parts, text=piece)
        run.last = self._writer.hand_in(work, Need.GROW, then=landed, failed=refused)

    async def finish(self, command_id: str, result: Result, tail: Sequence[tuple[Stream, str]] = ()) -> None:
        """Store the last pieces of output and the result in one durable commit; it is due to be sent from then on.
        Does nothing if the command has a result already.

        Raises:
            SpoolFull: nothing was stored, and the command still counts as running.
        """
        command_id = clean(command_id)
        run = self._running.get(command_id)
        if run is None:
            return

        def then(size: int | None) -> None:
            if size is not None:
                del self._running[command_id]
                self._pending.add(run.seq, size)

        pieces = [(stream, piece) for stream, text in tail for piece in split(text)]
        work = partial(journal.finish, run=run, result=result, tail=pieces, now_ms=self._clock.unix_ms())
        await self._writer.run(work, Need.STATE, then=then)

    # Results go out.

    async def take(self, most_bytes: float = math.inf) -> Delivery | None:
        """The oldest due result, with at most so many bytes of output. It is the caller's until they say `delivered`,
        `rejected`, `postponed`, `cut` or `release`. None if there is none: wait for `due`, or `due_small`.
        """
        seq = self._pending.take(most_bytes)
        if seq is None:
            return None
        self._changed()  # there may be another for somebody else
        try:
            found = await self._writer.run(partial(results.read, seq=seq), Need.READ)
        except BaseException:
            self.release(seq)
            raise
        self._writer.hand_in(partial(results.count_attempt, seq=seq), Need.NOTE)
        if not found.whole:
            self._replace(found)
            return Delivery(seq, found.command_id, Result(Outcome.DAMAGED, error=_DAMAGED), found.attempts)
        return replace(found, read=self._pieces)

    async def _pieces(self, delivery: Delivery, stream: Stream) -> AsyncGenerator[str, None]:
        stored = delivery.output[stream]
        part = size = crc = 0
        while size < stored.bytes:
            work = partial(results.piece, seq=delivery.seq, stream=stream, part=part)
            data = await self._writer.run(work, Need.READ)
            part, size, crc = part + 1, size + len(data), crc32(data, crc)
            if not data or size > stored.bytes or (size == stored.bytes and crc != stored.crc):
                self._replace(delivery)
                raise DamagedResult(f"The stored result of {delivery.command_id} is damaged.")
            yield data.decode("utf-8", "replace")

    def _replace(self, damaged: Delivery) -> None:
        log.error("stored result was damaged, an error takes its place", command_id=damaged.command_id)
        now_ms = self._clock.unix_ms()

        def work(db: sqlite3.Connection) -> None:
            results.replace_damaged(db, damaged.seq, _DAMAGED, now_ms)
            maintenance.note(db, damage=f"{readable(now_ms)}: the result of {damaged.command_id} was damaged on disk")

        self._writer.hand_in(work, Need.STATE, then=lambda _: self._pending.resize(damaged.seq, 0))

    def delivered(self, seq: int, http_status: int) -> None:
        """The API has it. A small output stays for a while, for people to look at, while there is room."""
        self._settle(seq, "delivered", http_status, None)

    def rejected(self, seq: int, http_status: int | None, error: str) -> None:
        """The API refuses this result for good. It is kept, and can be sent again by hand."""
        self._settle(seq, "rejected", http_status, error)

    def _settle(self, seq: int, state: str, http_status: int | None, error: str | None) -> None:
        if not self._pending.is_taken(seq):
            return
        small = self._pending.remove(seq) <= _KEPT_BYTES
        keep = state == "rejected" or (small and not self._space.short)
        self._unrecorded[seq] = partial(
            results.settle,
            seq=seq,
            state=state,
            http_status=http_status,
            error=error,
            now_ms=self._clock.unix_ms(),
            keep=keep,
        )
        self._record(seq)

    def _record(self, seq: int) -> None:
        """Write a verdict down. While the disk refuses that it stays here, so that nothing is sent again."""

        def then(_: object) -> None:
            self._unrecorded.pop(seq, None)

        self._writer.hand_in(self._unrecorded[seq], Need.NOTE, then=then)

    def postponed(self, seq: int, seconds: float, http_status: int | None, error: str) -> None:
        """It wasn't delivered; it is due again after `seconds`. What is written down is for people only."""
        self._pending.postpone(seq, seconds)
        until_ms = self._clock.unix_ms() + round(seconds * 1000)
        work = partial(results.postpone, seq=seq, until_unix_ms=until_ms, http_status=http_status, error=error)
        self._writer.hand_in(work, Need.NOTE)
        self.due.poke(everyone=True)
        self.due_small.poke(everyone=True)

    async def cut(self, seq: int, max_bytes: int) -> None:
        """Shorten the output to at most `max_bytes` a stream and mark it; it is due again at once, cut or not."""
        try:
            work = partial(results.cut, seq=seq, max_bytes=max_bytes)
            await self._writer.run(work, Need.STATE, then=partial(self._pending.resize, seq))
        finally:
            self.release(seq)

    def release(self, seq: int) -> None:
        """Give a taken result back without a word about it."""
        self._pending.release(seq)
        self._changed()

    # Kept in order, and looked at.

    async def sweep(self) -> None:
        """One round of maintenance, in small commits, so that others don't wait for long.

        Raises:
            SpoolFull: no room even for that; try again later.
            SpoolError: something that was handed in has failed for good, or the file isn't the one that was opened.
        """
        if self._writer.failure is not None:
            raise self._writer.failure
        self._space.check_identity()
        for seq in list(self._unrecorded):
            self._record(seq)
        if wanted := take_requests(self._space.path):
            await self._writer.run(partial(retry, ids=wanted), Need.STATE, then=self._again)
        clock, space = self._clock, self._space
        space.grow()
        seconds = self._limits.retention_seconds
        tidy = partial(maintenance.tidy, clock=clock, space=space, retention_seconds=seconds, full=self.full_because)
        removed = freed = 0
        try:
            while some := await self._writer.run(tidy, Need.STATE):
                removed += some
            while pages := await self._writer.run(partial(maintenance.shrink, space=space), Need.ALONE):
                freed += pages
        finally:
            work = partial(maintenance.checkpoint, clock=clock, space=space, whole=freed > 0)
            await self._writer.run(work, Need.ALONE)
        if removed or freed:
            log.debug("old results removed", count=removed, freed_pages=freed)

    async def try_write(self) -> None:
        """Write one small thing durably, to know whether that is possible. Raises SpoolFull or SpoolError."""
        now = readable(self._clock.unix_ms())
        await self._writer.run(partial(maintenance.note, checked_at=now), Need.GROW)

    async def counts(self) -> Counts:
        """The spool in numbers. Cheap, and doesn't wait behind a caller that gave up."""
        delivered, rejected, oldest_ms = await self._writer.run(results.count, Need.READ)
        return Counts(
            accepted=len(self._waiting),
            running=len(self._running),
            pending=self.pending,
            pending_bytes=sum(self._pending.sizes.values()),
            oldest_pending_age_seconds=0 if oldest_ms is None else max(0, self._clock.unix_ms() - oldest_ms) / 1000,
            delivered=delivered,
            rejected=rejected,
            size_bytes=self._space.size_bytes,
            capacity_bytes=self._space.plan.capacity_bytes,
            free_bytes=self._space.free_bytes,
            unrecorded=len(self._unrecorded),
            full_because=self.full_because,
        )

    async def undelivered(self, limit: int) -> list[str]:
        """The command ids of the oldest results that aren't delivered, at most so many."""
        return await self._writer.run(partial(results.undelivered, limit=limit), Need.READ)

    async def close(self) -> None:
        """Carry out what was handed in and close the file."""
        await self._writer.close()

    # What follows from what is known.

    def _claimable(self) -> int:
        """How many commands can be claimed: with room for the output, or if nothing else could make room."""
        alone = not self._running and not self._pending.sizes
        return len(self._waiting) if alone or self._free_bytes() >= self._space.reserve_bytes else 0

    def _free_bytes(self) -> int:
        """Beyond what the running commands may still need."""
        reserve = self._space.reserve_bytes
        return self._space.free_bytes - sum(max(0, reserve - run.stored_bytes) for run in self._running.values())

    def _changed(self) -> None:
        for signal in (self.work, self.due, self.due_small, self.space):
            signal.poke()
