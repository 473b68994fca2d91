"""Takes commands from the API and journals them. From then on the agent answers for them; before that the API does.

While there is no room for them here (no free executor and a full journal, or a full spool) they stay at the API.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import trio

from agent.circuit import Circuit, Trust
from agent.errors import LinkDown, SpoolFull
from agent.link import Batch, Link
from agent.log import Log
from agent.metrics import Metrics
from agent.model import Command, Outcome, Result
from agent.spool import Spool, until_written

log = Log("poller")

REPEATED_SECONDS = 1.0  # after commands of which none was new, or an API that repeats itself is asked 4,000 times/s
TURNS_WITHIN_SECONDS = 900.0  # a server's Retry-After (5 min), a pause of the agent's own and a long poll together

BUSY = Result(
    Outcome.BUSY, error="The agent has no room for more commands just now. Nothing was run; ask again in a moment."
)


@dataclass(eq=False)
class Poller:
    """The polling task."""

    _link: Link
    _spool: Spool
    _circuit: Circuit
    _trust: Trust
    _metrics: Metrics

    async def run(self) -> None:
        """Receive and journal, for ever."""
        while True:
            while self._link.pulls and not self._spool.room:
                self._trust.aside = True
                await self._spool.space.wait()
            self._trust.aside = not self._link.pulls
            self._metrics.alive_until["poller"] = trio.current_time() + TURNS_WITHIN_SECONDS
            await trio.sleep(self._circuit.pause)
            batch = await self._receive()
            self._metrics.alive_until["poller"] = math.inf  # room, here and on the disk, may be long in coming
            if batch is not None:
                new = await self._take_over(batch)
                if self._link.pulls and not new and (batch.commands or batch.malformed):
                    await trio.sleep(REPEATED_SECONDS)

    async def _receive(self) -> Batch | None:
        try:
            batch = await self._link.receive(eager=self._circuit.down)
        except LinkDown as down:
            self._metrics.count("kubently_polls_total", "refused" if down.refused else "failed")
            log.debug("asked in vain", reason=down.problem)
            if down.refused and down.problem != self._circuit.reason:  # loudly, but not each time
                log.error("API refuses this agent", reason=down.problem, todo=down.hint)
            self._circuit.failed(down)
            self._trust.doubt()
            return None
        self._circuit.succeeded()
        if batch.recognised:
            self._trust.recognised()
        self._metrics.count("kubently_polls_total", "commands" if batch.commands or batch.malformed else "empty")
        log.debug("asked", commands=len(batch.commands), malformed=len(batch.malformed))
        return batch

    async def _take_over(self, batch: Batch) -> bool:
        """Journal the whole batch, even during a stop: the API has handed it out. True if anything was new."""
        if batch.skipped:
            self._metrics.count("kubently_commands_skipped_total", amount=batch.skipped)
            log.warning("commands passed over: no readable id, or far too many", count=batch.skipped)
        room = self._spool.room + self._link.burst
        in_hand: dict[Result | None, list[Command]] = {None: batch.commands[:room]}  # None: to be run
        if beyond := batch.commands[room:]:
            log.warning("more commands than room", answered_busy=len(beyond), room=room)
            in_hand[BUSY] = beyond
        for bad in batch.malformed:
            log.warning("malformed command refused", command_id=bad.id[:64], reason=bad.reason)
            in_hand.setdefault(Result(Outcome.REFUSED, error=bad.reason, rule="shape"), []).append(bad)
        new = False
        try:
            for result, commands in list(in_hand.items()):
                new |= bool(commands) and await self._journal(commands, result)
                del in_hand[result]
        except SpoolFull:
            pass  # and the agent is ending
        finally:
            if lost := [command.id for commands in in_hand.values() for command in commands]:
                says = "commands received but not journalled: the API must hand them out again"
                log.error(says, command_ids=lost)
        return new

    async def _journal(self, commands: Sequence[Command], result: Result | None) -> bool:
        """In one commit; with a result they never run. True if one was new and is to be run."""
        write = partial(self._spool.accept, commands, result)
        intake = await until_written(self._spool, write, log, "commands can't be journalled, trying again")
        for known in intake.known:
            log.info("command known already, not run again", command_id=known)
        if result is not None:
            for _ in intake.new:
                self._metrics.finished(result)
            return False
        await trio.lowlevel.cancel_shielded_checkpoint()  # executors first: the next poll can wait until kubectl runs
        self._metrics.count("kubently_commands_accepted_total", amount=len(intake.new))
        traces = {c.id: {"correlation_id": c.correlation_id, "session_id": c.session_id} for c in commands}
        for command_id in intake.new:
            log.info("command accepted", command_id=command_id, **traces[command_id])
        return bool(intake.new)
