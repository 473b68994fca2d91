"""Takes commands from the API and journals them: after that they are the agent's, before it they are the API's.

While there is no room for them here (no free executor and a full journal, or a full spool) they stay at the API.
"""

from collections.abc import Awaitable, Callable, Sequence

import trio

from agent.errors import LinkDown, SpoolFull
from agent.link import Batch, Link
from agent.log import Log
from agent.metrics import Metrics
from agent.model import Command, Malformed, Outcome, Result
from agent.outage import backoff
from agent.reach import Reach
from agent.spool import Intake, Spool
from agent.watchdog import Watchdog

log = Log("poller")

RETRY_JOURNAL_SECONDS = 1.0
"""How often a write is tried again while the disk refuses it. The commands are in memory then, and nothing is taken."""

REPEATED_SECONDS = 1.0
"""The pause after commands that were all known: an API that repeats itself mustn't be asked 4,000 times a second."""

ANSWERED_AT_ONCE = 64
"""How many commands that can't run are answered in one go. Each is a task of its own while it lasts."""

TURNS_WITHIN_SECONDS = 900.0
"""A turn may last as long as a server's Retry-After (5 min), a long poll and a wait of its own together, not longer."""


class Poller:
    """The task. `random` gives uniform draws from [0, 1)."""

    def __init__(
        self,
        link: Link,
        spool: Spool,
        reach: Reach,
        *,
        metrics: Metrics,
        watchdog: Watchdog,
        random: Callable[[], float],
    ) -> None:
        self._link = link
        self._spool = spool
        self._reach = reach
        self._metrics = metrics
        self._watchdog = watchdog
        self._random = random
        self._refusal: str | None = None
        self._journalling = trio.CancelScope(shield=True)
        self._abandoned = False
        self._in_hand: dict[str, None] = {}
        """Ids of commands that were received and aren't journalled, in their order."""
        self._new = False

    def abandon(self) -> None:
        """Give up journalling what was received: the disk takes nothing, and the agent must end."""
        self._abandoned = True
        self._journalling.cancel()

    async def run(self) -> None:
        """Receive and journal, for ever."""
        failures = 0
        while True:
            if self._link.holds:
                self._watchdog.dismiss("poller")  # room may be long in coming
                await self._spool.space.wait()
            self._watchdog.expect("poller", TURNS_WITHIN_SECONDS)
            batch, status = await self._receive()
            if batch is not None:
                failures = 0
                self._new = not (batch.commands or batch.malformed)
                self._in_hand = dict.fromkeys([c.id for c in batch.commands] + [m.id for m in batch.malformed])
                # The API has handed these out: a stop must not lose them.
                with trio.CancelScope(shield=True) as self._journalling:
                    if self._abandoned:  # before there was anything: it is tried once
                        self._journalling.deadline = trio.current_time() + RETRY_JOURNAL_SECONDS / 2
                    try:
                        await self._journal(batch)
                    except Exception:
                        self._tell_lost()
                        raise
                if self._journalling.cancelled_caught:
                    self._tell_lost()
                if self._link.holds and not self._new:
                    await trio.sleep(REPEATED_SECONDS)
            elif status is not None and self._link.holds:
                # It answered, only not to this. Others may find the API well and end the outage, so wait here too.
                failures += 1
                await trio.sleep(backoff(failures, self._random))

    async def _receive(self) -> tuple[Batch | None, int | None]:
        async with self._reach.turn() as attempt:
            try:
                batch = await self._link.receive(eager=attempt.probe)
            except LinkDown as down:
                self._metrics.poll("refused" if down.refused else "failed")
                log.debug("asked in vain", reason=down.problem)
                self._tell_refusal(down)
                attempt.failed(down.problem, retry_after=down.retry_after)
                return None, down.status
            self._refusal = None
            attempt.succeeded()
            self._metrics.poll("commands" if batch.commands or batch.malformed else "empty")
            log.debug("asked", commands=len(batch.commands), malformed=len(batch.malformed))
            return batch, None

    def _tell_refusal(self, down: LinkDown) -> None:
        """Loudly, but once for each reason: the outage's own lines say how long it lasts."""
        if down.refused and down.problem != self._refusal:
            self._refusal = down.problem
            log.error("API refuses this agent", reason=down.problem, todo="check the token and CLUSTER_ID")

    async def _journal(self, batch: Batch) -> None:
        if batch.skipped:
            self._metrics.skipped(batch.skipped)
            log.warning("commands without a readable id skipped", count=batch.skipped)
        room = self._spool.room + self._link.burst
        taken, beyond = batch.commands[:room], batch.commands[room:]
        if taken:
            await self._accept(taken)
        for malformed in batch.malformed:
            log.warning("malformed command refused", command_id=malformed.id[:64], reason=malformed.reason)
        await self._answer_all([(m, Result(Outcome.REFUSED, error=m.reason, rule="shape")) for m in batch.malformed])
        if beyond:
            log.warning("more commands than room", answered_busy=len(beyond), room=room)
            await self._answer_all([(command, Result(Outcome.BUSY, error=BUSY)) for command in beyond])

    async def _accept(self, commands: Sequence[Command]) -> None:
        intake = await self._until_written(lambda: self._spool.accept(commands))
        for command in commands:
            self._in_hand.pop(command.id, None)
        await trio.lowlevel.checkpoint()  # executors first: the next poll can wait until kubectl runs
        new = set(intake.new)
        self._new |= bool(new)
        for command in commands:
            if command.id in new:
                new.discard(command.id)
                self._metrics.accepted()
                log.info(
                    "command accepted",
                    command_id=command.id,
                    correlation_id=command.correlation_id,
                    session_id=command.session_id,
                )
        for known in intake.known:
            log.info("command known already, not run again", command_id=known)

    async def _answer_all(self, answers: Sequence[tuple[Command | Malformed, Result]]) -> None:
        """Answer what never runs. Several at once, because the spool writes those in one commit."""
        for first in range(0, len(answers), ANSWERED_AT_ONCE):
            async with trio.open_nursery() as nursery:
                for command, result in answers[first : first + ANSWERED_AT_ONCE]:
                    nursery.start_soon(self._answer, command, result)

    async def _answer(self, command: Command | Malformed, result: Result) -> None:
        intake = await self._until_written(lambda: self._spool.answer(command, result))
        self._in_hand.pop(command.id, None)
        self._new |= bool(intake.new)
        self._metrics.finished(result)

    async def _until_written(self, write: Callable[[], Awaitable[Intake]]) -> Intake:
        """Repeat a write until the spool takes it: what was received is in memory only, and mustn't be dropped."""
        told = False
        while True:
            try:
                return await write()
            except SpoolFull as error:
                if not told:
                    log.error("commands can't be journalled, trying again", reason=str(error))
                    told = True
            self._watchdog.beat("poller")
            await trio.sleep(RETRY_JOURNAL_SECONDS)

    def _tell_lost(self) -> None:
        log.error(
            "commands received but not journalled: the API must hand them out again", command_ids=list(self._in_hand)
        )


BUSY = "The agent has no room for more commands just now. Nothing was run; ask again in a moment."
