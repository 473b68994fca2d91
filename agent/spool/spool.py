"""The spool as the tasks see it: what each may ask of it, and what that changes.

A command waits for the disk twice: in `accept`, and in `finish`. All else is handed to the writer in order, and its
caller goes on. What the methods need to know without asking the disk is in `counters.py`, and is changed when a commit
is known to have happened.
"""

import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from zlib import crc32

import trio

from agent.errors import DamagedResult, SpoolError
from agent.log import Log
from agent.model import Command, Malformed, Outcome, Result, Stream
from agent.spool import journal, maintenance, results
from agent.spool.clock import Clock, readable
from agent.spool.counters import Measured, Pending, Running, Settlement, Waiting
from agent.spool.maintenance import SpoolMaintenance
from agent.spool.retry import RetryRequests, retry
from agent.spool.rows import storable
from agent.spool.signals import Signal
from agent.spool.space import Space
from agent.spool.text import clean, split
from agent.spool.values import Claim, Counts, Delivery, Intake, Limits, Recovery, Swept
from agent.spool.writer import Need, Writer

_IN_FLIGHT_BYTES = 1024 * 1024  # of output on its way to the disk, before a command has to wait for it
_KEPT_BYTES = 256 * 1024  # a larger output is given up when it is delivered
_DAMAGED = "The stored result was damaged on disk and can't be sent. Ask again: the command only reads."

log = Log("spool")


@dataclass(frozen=True, slots=True)
class Ready:
    """What a spool is made of, once its file is open and what was under way has been looked after."""

    connection: sqlite3.Connection
    space: Space
    limits: Limits
    clock: Clock
    recovery: Recovery
    waiting: Sequence[Waiting]
    """Accepted commands, in order."""
    measured: Measured


class Spool:
    """Made by `open_spool`. All methods are for the event loop that opened it.

    Those that wait may raise `SpoolFull` (the disk or the cap; nothing was written, try again later) or `SpoolError`
    (the file can't be used any more). One that has begun is carried out even if its caller is cancelled.
    """

    def __init__(self, ready: Ready, *, inline: bool) -> None:
        self.recovery: Recovery = ready.recovery
        self._space = ready.space
        self._limits: Limits = ready.limits
        self._clock = ready.clock
        self._waiting: deque[Waiting] = deque(ready.waiting)
        self._running: dict[str, Running] = {}
        self._pending = Pending(trio.current_time)
        self._rejected = self._delivered = 0
        self._in_flight_bytes = 0
        self._taking = trio.Lock()
        self._retry_requests = RetryRequests(ready.space.path)
        self.work = Signal(self._claimable)
        """Wakes executors: a command can be claimed."""
        self.due = Signal(self._pending.due, self._pending.next_due)
        """Wakes uploaders: a result can be taken."""
        self.due_small = Signal(self._pending.due_small, self._pending.next_due)
        """Wakes uploaders: a result of at most SMALL_BYTES can be taken."""
        self.space = Signal(lambda: self.room)
        """Wakes the poller: commands can be accepted."""
        self._piece_room = Signal(lambda: int(self._in_flight_bytes < _IN_FLIGHT_BYTES))
        self._writer = Writer(ready.connection, ready.space, self._changed, inline=inline)
        self._maintenance = SpoolMaintenance(self._writer, ready.space, ready.limits, ready.clock)
        self._measured(ready.measured)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more output: then no commands are taken."""
        return self._space.full

    @property
    def full_because(self) -> str | None:
        """Why, in a sentence; None if it isn't full."""
        return self._maintenance.why_full(self.pending, self._pending.bytes) if self.full else None

    @property
    def room(self) -> int:
        """How many more commands may be accepted now."""
        return 0 if self.full else max(0, self._limits.journal - len(self._waiting) - len(self._running))

    @property
    def pending(self) -> int:
        """How many results aren't delivered yet."""
        return self._pending.count - len(self._pending.settled)

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
            since = self._clock.uptime()
            self._waiting.extend(Waiting(seq, storable(c), 0, since) for seq, c in accepted.new)
            self._again(accepted.again)

        work = partial(journal.accept, commands=commands, now_ms=self._clock.unix_ms())
        accepted = await self._writer.run(work, Need.GROW, then=then)
        return Intake(tuple(command.id for _, command in accepted.new), accepted.known)

    async def answer(self, command: Command | Malformed, result: Result) -> Intake:
        """Journal a command that never runs, together with its result. A known id is treated as when accepting."""

        def then(accepted: journal.Accepted) -> None:
            for _ in accepted.new:
                self._pending.add(0)
            self._again(accepted.again)

        work = partial(journal.answer, command=command, result=result, now_ms=self._clock.unix_ms())
        accepted = await self._writer.run(work, Need.STATE, then=then)
        return Intake(tuple(command.id for _ in accepted.new), accepted.known)

    def claim(self) -> Claim | None:
        """Take the oldest accepted command to run it. None if there is nothing, or no room for one more output: wait
        for `work`.
        """
        if not self._claimable():
            return None
        output_bytes = self._next_output_bytes()
        waiting = self._waiting.popleft()
        now_ms = self._clock.unix_ms()
        self._running[waiting.command.id] = Running(waiting.seq, now_ms)
        self._writer.hand_in(partial(journal.start, seq=waiting.seq, now_ms=now_ms))
        waited_ms = round((self._clock.uptime() - waiting.since) * 1000)
        return Claim(waiting.command, waiting.seq, waiting.runs + 1, waited_ms, output_bytes)

    async def append(self, command_id: str, stream: Stream, text: str) -> bool:
        """Hand in more of a running command's output. Waits only while much is on its way.

        Returns:
            False if some of this command's output found no room on the disk: nothing after it is stored.
        """
        run = self._running[clean(command_id)]
        for piece in split(text):
            await self._piece_room.wait()
            if run.lost:
                return False
            self._hand_in_piece(run, stream, piece)
        return not run.lost

    def _hand_in_piece(self, run: Running, stream: Stream, piece: str) -> None:
        before = run.written(stream)
        after = before.plus(piece)
        size = after.bytes - before.bytes

        def landed(_: object) -> None:
            self._in_flight_bytes -= size

        def refused(_: SpoolError) -> None:
            self._in_flight_bytes -= size
            run.lost = True

        run.sums.setdefault(stream, []).append(after)
        self._in_flight_bytes += size
        work = partial(journal.append, seq=run.seq, stream=stream, part=before.parts, text=piece)
        self._writer.hand_in(work, Need.GROW, then=landed, failed=refused)

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
                self._pending.add(size)

        pieces = [(stream, piece) for stream, text in tail for piece in split(text)]
        ending = journal.Ending(result, run.sums, pieces, run.started_unix_ms)
        work = partial(journal.finish, seq=run.seq, ending=ending, now_ms=self._clock.unix_ms())
        await self._writer.run(work, Need.STATE, then=then)

    # Results go out.

    async def take(self, most_bytes: int | None = None) -> Delivery | None:
        """The oldest due result, with at most so many bytes of output. It is the caller's until they say `delivered`,
        `rejected`, `postponed`, `cut` or `release`. None if there is none: wait for `due`, or `due_small`.
        """
        async with self._taking:
            if not (self._pending.due() if most_bytes is None else self._pending.due_small()):
                return None
            work = partial(results.oldest, without=self._pending.not_due(), most_bytes=most_bytes)
            found = await self._writer.run(work, Need.READ, then=self._took)
        if found is None:  # there was to be one: somebody has changed the file
            await self._writer.run(maintenance.measure, Need.READ, then=self._measured)
            return None
        self._writer.hand_in(partial(results.count_attempt, seq=found.seq))
        if not found.whole:
            self._replace(found)
            return Delivery(found.seq, found.command_id, Result(Outcome.DAMAGED, error=_DAMAGED), found.attempts)
        return replace(found, read=self._pieces)

    def _took(self, found: Delivery | None) -> None:
        if found is not None:
            self._pending.in_flight[found.seq] = found.bytes

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
            journal.replace_result(db, damaged.seq, _DAMAGED, now_ms)
            maintenance.note(db, damage=f"{readable(now_ms)}: the result of {damaged.command_id} was damaged on disk")

        self._writer.hand_in(work, then=lambda _: self._pending.resize(damaged.seq, 0))

    def delivered(self, seq: int, http_status: int) -> None:
        """The API has it. A small output stays for a while, for people to look at, while there is room."""
        self._settle(seq, "delivered", http_status, None)

    def rejected(self, seq: int, http_status: int | None, error: str) -> None:
        """The API refuses this result for good. It is kept, and can be sent again by hand."""
        self._settle(seq, "rejected", http_status, error)

    def _settle(self, seq: int, state: str, http_status: int | None, error: str | None) -> None:
        size = self._pending.in_flight.pop(seq, None)
        if size is None:
            return
        self._pending.settled[seq] = Settlement(state, http_status, error, size)
        self._record(seq)
        self._changed()

    def _record(self, seq: int) -> None:
        """Write a verdict down. While the disk refuses that it stays in `settled`, so that nothing is sent again."""
        verdict = self._pending.settled[seq]
        keep = verdict.bytes <= _KEPT_BYTES and self._space.used_bytes < self._space.plan.soft_bytes // 2
        work = partial(results.settle, seq=seq, verdict=verdict, now_ms=self._clock.unix_ms(), keep=keep)

        def then(changed: bool) -> None:
            if self._pending.settled.pop(seq, None) and changed:
                self._pending.add(verdict.bytes, -1)
                self._count(verdict.state, 1)

        self._writer.hand_in(work, then=then)

    def postponed(self, seq: int, seconds: float, http_status: int | None, error: str) -> None:
        """It wasn't delivered; it is due again after `seconds`. What is written down is for people only."""
        self._pending.postpone(seq, seconds)
        until_ms = self._clock.unix_ms() + round(seconds * 1000)
        self._writer.hand_in(
            partial(results.postpone, seq=seq, until_unix_ms=until_ms, http_status=http_status, error=error)
        )
        self._changed()

    async def cut(self, seq: int, max_bytes: int) -> None:
        """Shorten the output to at most `max_bytes` a stream and mark it; it is due again at once, cut or not."""
        try:
            await self._writer.run(
                partial(results.cut, seq=seq, max_bytes=max_bytes),
                Need.STATE,
                then=partial(self._pending.resize, seq),
            )
        finally:
            self.release(seq)

    def release(self, seq: int) -> None:
        """Give a taken result back without a word about it."""
        self._pending.in_flight.pop(seq, None)
        self._changed()

    # Kept in order, and looked at.

    async def sweep(self) -> Swept:
        """One round of maintenance: forget what is old, give up kept output where room is short, shrink the files, mend
        the ballast, pick up what people asked for.

        Raises:
            SpoolError: something that was handed in has failed for good, or the file isn't the one that was opened.
        """
        if self._writer.failure is not None:
            raise self._writer.failure
        self._space.check_identity()
        for seq in list(self._pending.settled):
            self._record(seq)
        await self._maintenance.follow_clock()
        retried = await self._retry()
        removed, dropped, freed = await self._maintenance.make_room()
        await self._writer.run(maintenance.measure, Need.READ, then=self._measured)
        await self._maintenance.checkpoint(whole=freed > 0)
        await self._maintenance.note_fullness(self.full_because)
        return Swept(removed, dropped, freed, retried, self._space.load_ballast())

    async def _retry(self) -> int:
        wanted = self._retry_requests.take()
        again = await self._writer.run(partial(retry, ids=wanted), Need.STATE, then=self._again) if wanted else []
        return len(again)

    async def try_write(self) -> None:
        """Write one small thing durably, to know whether that is possible. Raises SpoolFull or SpoolError."""
        now = readable(self._clock.unix_ms())
        await self._writer.run(partial(maintenance.note, checked_at=now), Need.GROW)

    async def counts(self) -> Counts:
        """The spool in numbers. Cheap, and doesn't wait behind a caller that gave up."""
        oldest_ms = await self._writer.run(results.oldest_finished, Need.READ)
        age_ms = 0 if oldest_ms is None else max(0, self._clock.unix_ms() - oldest_ms)
        return Counts(
            accepted=len(self._waiting),
            running=len(self._running),
            pending=self.pending,
            pending_bytes=self._pending.bytes,
            oldest_pending_age_seconds=age_ms / 1000,
            delivered=self._delivered,
            rejected=self._rejected,
            size_bytes=self._space.size_bytes,
            capacity_bytes=self._space.plan.capacity_bytes,
            free_bytes=self._space.free_bytes,
            unrecorded=len(self._pending.settled),
            full_because=self.full_because,
        )

    async def undelivered(self, limit: int) -> list[str]:
        """The command ids of the oldest results that aren't delivered, at most so many."""
        return await self._writer.run(partial(results.undelivered, limit=limit), Need.READ)

    async def close(self) -> None:
        """Carry out what was handed in and close the file."""
        await self._writer.close()

    # What follows from the counters.

    def _claimable(self) -> int:
        """How many commands can be claimed: with room for the output, or if nothing else could make room."""
        alone = not self._running and not self._pending.count
        return len(self._waiting) if alone or self._free_bytes() >= self._space.reserve_bytes else 0

    def _free_bytes(self) -> int:
        """Beyond what the running commands may still need, and what is on its way to the disk."""
        reserve = self._space.reserve_bytes
        reserved = sum(max(0, reserve - run.bytes) for run in self._running.values())
        return self._space.free_bytes - reserved - self._in_flight_bytes

    def _next_output_bytes(self) -> int:
        beside = self._space.reserve_bytes - self._space.output_bytes
        return max(0, min(self._space.output_bytes, self._free_bytes() - beside))

    def _again(self, found: Sequence[journal.Again]) -> None:
        """Known results are due again."""
        self._pending.hurry(again.seq for again in found)
        for again in found:
            if again.state != "spooled":
                self._pending.add(again.bytes)
                self._count(again.state, -1)

    def _count(self, state: str, count: int) -> None:
        if state == "rejected":
            self._rejected += count
        else:
            self._delivered += count

    def _measured(self, measured: Measured) -> None:
        """Take over what was counted on disk."""
        self._pending.count, self._pending.small = measured.pending, measured.small
        self._pending.bytes = measured.pending_bytes
        self._rejected, self._delivered = measured.rejected, measured.delivered

    def _changed(self) -> None:
        for signal in (self.work, self.due, self.due_small, self.space, self._piece_room):
            signal.poke()
