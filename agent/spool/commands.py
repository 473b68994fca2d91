"""The side of the spool where commands come in, run, and end."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from agent.model import Command, Malformed, Outcome, Result, Stream
from agent.spool import journal
from agent.spool.clock import Stamp
from agent.spool.core import Core
from agent.spool.journal import Accepted
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

        Raises:
            SpoolFull: nothing was taken.
        """

        def then(accepted: Accepted) -> None:
            self._tally.accepted += len(accepted.new)
            self._tally.again(accepted.again)

        now = self._clock.now()
        weight = sum(_ARGUMENT_BYTES + sum(map(len, command.args)) for command in commands)
        accepted = await self._writer.run(
            lambda db: journal.accept(db, commands, now), Kind.ACCEPT, weight=weight, then=then
        )
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
        while self._may_claim:
            beside = self._space.reserve_bytes - self._space.output_bytes
            output_bytes = max(0, min(self._space.output_bytes, self._free_bytes - beside))
            self._tally.claiming += 1
            try:
                claimed = await self._writer.run(
                    partial(self._claim, now=self._clock.now()), Kind.STATE, then=self._claimed
                )
            finally:
                self._tally.claiming -= 1
            if claimed is None:
                return None
            if claimed.command is not None:
                return Claim(claimed.command, claimed.seq, claimed.runs, claimed.waited_ms, output_bytes)
            self._log.warning("stored command was damaged", seq=claimed.seq)
        return None

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

        Raises:
            SpoolFull: nothing was stored, and the command still counts as running.
        """
        command_id = clean(command_id)
        run = self._tally.runs.get(command_id)
        if run is None:
            return
        pieces = [(stream, piece) for stream, text in tail for piece in split(clean(text))]
        now = self._clock.now()
        await self._writer.run(
            lambda db: journal.finish(db, run.seq, result, pieces, run.written, now),
            Kind.STATE,
            weight=sum(len(piece) for _, piece in pieces),
            then=self._finished(command_id),
        )

    def _finished(self, command_id: str) -> Callable[[int | None], None]:
        def then(size: int | None) -> None:
            if size is not None:
                del self._tally.runs[command_id]
                self._tally.running -= 1
                self._tally.spool(1, size)

        return then
