"""Takes commands from the API and journals them. From then on the agent answers for them; before that the API does.

While there is no room for them here (no free executor and a full journal, or a full spool) they stay at the API.
"""

from collections.abc import Awaitable, Callable, Sequence

import trio

from agent.circuit import Circuit, Trust
from agent.errors import LinkDown
from agent.link import Batch, Link
from agent.log import Log
from agent.metrics import Metrics
from agent.model import Command, Malformed, Outcome, Result
from agent.spool import Intake, Spool, until_written
from agent.watchdog import Watchdog

log = Log("poller")

ABANDONED_SECONDS = 0.5
"""How much longer to try to journal what was received after `abandon`."""

REPEATED_SECONDS = 1.0
"""The pause after commands of which none was new. Without it an API that repeats itself is asked 4,000 times/s."""

ANSWERED_AT_ONCE = 64
"""How many commands that can't run are answered at once, each by a task of its own."""

TURNS_WITHIN_SECONDS = 900.0
"""The longest turn: a server's Retry-After (5 min), a pause of the agent's own and a long poll together."""

BUSY = "The agent has no room for more commands just now. Nothing was run; ask again in a moment."


class Poller:
    """The polling task."""

    def __init__(
        self, link: Link, spool: Spool, circuit: Circuit, trust: Trust, *, metrics: Metrics, watchdog: Watchdog
    ) -> None:
        self._link = link
        self._spool = spool
        self._circuit = circuit
        self._trust = trust
        self._metrics = metrics
        self._watchdog = watchdog
        self._refusal: str | None = None
        self._in_hand: dict[str, None] = {}
        """Ids that were received and aren't journalled yet, in order."""
        self._journalling = trio.CancelScope(shield=True)
        self._abandoned = False

    def abandon(self) -> None:
        """Stop waiting for a disk that takes no commands: the agent must end."""
        self._abandoned = True
        self._journalling.cancel()

    async def run(self) -> None:
        """Receive and journal, for ever."""
        while True:
            if self._link.pulls:
                self._watchdog.dismiss("poller")  # room may be long in coming
                await self._spool.space.wait()
            self._watchdog.beat("poller", TURNS_WITHIN_SECONDS)
            await self._circuit.turn()
            batch = await self._receive()
            if batch is not None:
                new = await self._take_over(batch)
                if self._link.pulls and not new and (batch.commands or batch.malformed):
                    await trio.sleep(REPEATED_SECONDS)

    async def _receive(self) -> Batch | None:
        try:
            batch = await self._link.receive(eager=self._circuit.down)
        except LinkDown as down:
            self._metrics.poll("refused" if down.refused else "failed")
            log.debug("asked in vain", reason=down.problem)
            if down.refused and down.problem != self._refusal:  # loudly, but once for each reason
                self._refusal = down.problem
                log.error("API refuses this agent", reason=down.problem, todo=down.hint)
            self._circuit.failed(down)
            self._trust.doubt(LinkDown(down.problem))
            return None
        self._refusal = None
        self._circuit.succeeded()
        if batch.recognised:
            self._trust.recognised()
        self._metrics.poll("commands" if batch.commands or batch.malformed else "empty")
        log.debug("asked", commands=len(batch.commands), malformed=len(batch.malformed))
        return batch

    async def _take_over(self, batch: Batch) -> bool:
        """Journal the whole batch, even during a stop: the API has handed it out. True if anything was new."""
        if batch.skipped:
            self._metrics.skipped(batch.skipped)
            log.warning("commands passed over: no readable id, or far too many", count=batch.skipped)
        for malformed in batch.malformed:
            log.warning("malformed command refused", command_id=malformed.id[:64], reason=malformed.reason)
        room = self._spool.room + self._link.burst
        taken, beyond = batch.commands[:room], batch.commands[room:]
        if beyond:
            log.warning("more commands than room", answered_busy=len(beyond), room=room)
        answers: list[tuple[Command | Malformed, Result]] = []
        answers += [(m, Result(Outcome.REFUSED, error=m.reason, rule="shape")) for m in batch.malformed]
        answers += [(command, Result(Outcome.BUSY, error=BUSY)) for command in beyond]
        self._in_hand = dict.fromkeys([*(c.id for c in taken), *(each.id for each, _ in answers)])
        new = False
        with trio.CancelScope(shield=True) as self._journalling:
            if self._abandoned:  # abandoned before this batch came: try once
                self._journalling.deadline = trio.current_time() + ABANDONED_SECONDS
            try:
                new = bool(taken and await self._accept(taken))
                # Several at once, because the spool writes those in one commit.
                for first in range(0, len(answers), ANSWERED_AT_ONCE):
                    async with trio.open_nursery() as nursery:
                        for command, result in answers[first : first + ANSWERED_AT_ONCE]:
                            nursery.start_soon(self._answer, command, result)
            finally:
                if self._in_hand:
                    lost = list(self._in_hand)
                    log.error(
                        "commands received but not journalled: the API must hand them out again", command_ids=lost
                    )
        return new

    async def _accept(self, commands: Sequence[Command]) -> bool:
        intake = await self._until_written(commands, lambda: self._spool.accept(commands))
        await trio.lowlevel.checkpoint()  # executors first: the next poll can wait until kubectl runs
        first = {command.id: command for command in reversed(commands)}
        for command in map(first.__getitem__, intake.new):
            self._metrics.accepted()
            trace = {"correlation_id": command.correlation_id, "session_id": command.session_id}
            log.info("command accepted", command_id=command.id, **trace)
        for known in intake.known:
            log.info("command known already, not run again", command_id=known)
        return bool(intake.new)

    async def _answer(self, command: Command | Malformed, result: Result) -> None:
        await self._until_written([command], lambda: self._spool.answer(command, result))
        self._metrics.finished(result)

    async def _until_written(
        self, what: Sequence[Command | Malformed], write: Callable[[], Awaitable[Intake]]
    ) -> Intake:
        """What was received is in memory only, and mustn't be dropped."""

        async def attempt() -> Intake:
            self._watchdog.beat("poller", TURNS_WITHIN_SECONDS)
            return await write()

        intake = await until_written(attempt, log, "commands can't be journalled, trying again")
        for each in what:
            self._in_hand.pop(each.id, None)
        return intake
