"""The side of the spool where commands come in, run, and end."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import trio

from agent.model import Command, Malformed, Outcome, Result, Stream
from agent.spool import journal, outbox
from agent.spool.clock import Stamp
from agent.spool.core import Core
from agent.spool.journal import Accepted
from agent.spool.outbox import Due
from agent.spool.tally import Run
from agent.spool.text import NOTHING, clean, split
from agent.spool.values import Claim, Intake
from agent.spool.writer import Kind

_DAMAGED = "The stored command was damaged on disk before it ran. Ask again."
_ARGUMENT_BYTES = 256  # a command's row and its indexes, beside its arguments


@dataclass(frozen=True, slots=True)
class _Claimed:
    seq: int
    command: Command | None
    runs: int
    waited_ms: int


class Commands(Core):
    """Accept, claim, append, finish."""

    async def accept(self, commands: Sequence[Command]) -> Intake:
        """Journal commands in one commit. Known ids run nothing again; their results are sent again where they can be.

        As many as there are tasks that wait for `work` are started in the same commit.

        Raises:
            SpoolFull: nothing was taken.
        """
        now = self._clock.now()
        start = max(0, min(self.work.waiting - len(self._started), self._free_bytes // self._space.reserve_bytes))

        def work(db: sqlite3.Connection) -> tuple[Accepted, list[_Claimed]]:
            accepted = journal.accept(db, commands, now)
            claimed = (self._claim(db, now) for _ in accepted.new[:start])
            return accepted, [each for each in claimed if each is not None]

        def then(done: tuple[Accepted, list[_Claimed]]) -> None:
            accepted, started = done
            self._tally.accepted += len(accepted.new)
            self._tally.again(accepted.again)
            for claimed in started:
                output_bytes = self._next_output_bytes
                self._claimed(claimed)
                if (claim := self._claim_of(claimed, output_bytes)) is not None:
                    self._started.append(claim)

        weight = sum(_ARGUMENT_BYTES + sum(map(len, command.args)) for command in commands)
        accepted, _ = await self._writer.run(work, Kind.ACCEPT, weight=weight, then=then)
        return Intake(accepted.new, accepted.known)

    async def answer(self, command: Command | Malformed, result: Result) -> Intake:
        """Journal a command that never runs, together with its result. A known id is treated as when accepting."""

        def then(answered: tuple[int | None, Accepted]) -> None:
            seq, accepted = answered
            self._tally.spool(int(seq is not None), 0)
            self._tally.again(accepted.again)

        now = self._clock.now()
        _, accepted = await self._writer.run(lambda db: journal.answer(db, command, result, now), Kind.STATE, then=then)
        return Intake(accepted.new, accepted.known)

    async def claim(self) -> Claim | None:
        """Start the oldest accepted command; that it was started is on disk before it is. None if there is nothing, or
        no room for one more output: wait for `work`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._started:
            return self._started.popleft()
        while self._may_claim:
            output_bytes = self._next_output_bytes
            self._tally.claiming += 1
            try:
                claimed = await self._writer.run(
                    partial(self._claim, now=self._clock.now()), Kind.STATE, then=self._claimed
                )
            finally:
                self._tally.claiming -= 1
            if claimed is None:
                return None
            if (claim := self._claim_of(claimed, output_bytes)) is not None:
                return claim
        return None

    def _claim_of(self, claimed: _Claimed, output_bytes: int) -> Claim | None:
        if claimed.command is None:
            self._log.warning("stored command was damaged", seq=claimed.seq)
            return None
        return Claim(claimed.command, claimed.seq, claimed.runs, claimed.waited_ms, output_bytes)

    def _claim(self, db: sqlite3.Connection, now: Stamp) -> _Claimed | None:
        row = journal.claim(db, now)
        if row is None:
            return None
        seq, command, runs, accepted = row
        if command is None:
            journal.finish(db, seq, Result(Outcome.DAMAGED, error=_DAMAGED), (), {}, now)
        return _Claimed(seq, command, runs, self._clock.age_ms(accepted))

    def _claimed(self, claimed: _Claimed | None) -> None:
        if claimed is None:
            self._tally.accepted = 0
            return
        self._tally.accepted -= 1
        if claimed.command is None:
            self._tally.spool(1, 0)
        else:
            self._tally.running += 1
            self._tally.runs[claimed.command.id] = Run(claimed.seq)

    async def append(self, command_id: str, stream: Stream, text: str) -> None:
        """Store one more piece of a running command's output. One at a time for each stream.

        Raises:
            SpoolFull: this piece wasn't stored.
        """
        run = self._tally.runs[clean(command_id)]
        for piece in split(clean(text)):
            before = run.written.get(stream, NOTHING)
            after = before.plus(piece)

            def work(db: sqlite3.Connection, part: int = before.parts, piece: str = piece) -> None:
                journal.append(db, run.seq, stream, part, piece)

            await self._writer.run(work, Kind.GROW, weight=after.bytes - before.bytes)
            run.written[stream] = after

    async def finish(self, command_id: str, result: Result, tail: Sequence[tuple[Stream, str]] = ()) -> None:
        """Store the last pieces of output and the result in one commit; it is due to be sent from then on. Does nothing
        if the command has a result already.

        If a task waits for `due`, and there was nothing else, the attempt is counted in the same commit.

        Raises:
            SpoolFull: nothing was stored, and the command still counts as running.
        """
        command_id = clean(command_id)
        run = self._tally.runs.get(command_id)
        if run is None:
            return
        pieces = [(stream, piece) for stream, text in tail for piece in split(clean(text))]
        now = self._clock.now()
        # Not while somebody looks for a result to take, and told to whoever looks next: it would leave twice.
        take = self.due.waiting > len(self._taken) and not self._taking.locked()

        def work(db: sqlite3.Connection) -> tuple[int | None, Due | None]:
            size = journal.finish(db, run.seq, result, pieces, run.written, now)
            return size, outbox.take(db, run.seq) if take and size is not None else None

        def then(done: tuple[int | None, Due | None]) -> None:
            size, due = done
            if size is not None:
                del self._tally.runs[command_id]
                self._tally.running -= 1
                self._tally.spool(1, size)
            if due is not None:
                self._tally.in_flight[due.seq] = due.bytes
                self._taken.append(due)

        if take:
            self._tally.handing.add(run.seq)
        try:
            await self._writer.run(work, Kind.STATE, weight=sum(len(piece) for _, piece in pieces), then=then)
        finally:
            self._tally.handing.discard(run.seq)
