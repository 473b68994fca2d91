"""Runs accepted commands: guard, kubectl, spool."""

from collections import Counter
from dataclasses import replace
from functools import partial

import trio

from agent.errors import KubectlError, SpoolFull
from agent.guard import Policy, Refused, decide
from agent.kubectl import Kubectl
from agent.log import Log
from agent.log_search import LogSearch, Searcher
from agent.metrics import Metrics
from agent.model import Command, Outcome, Result, Stream
from agent.policy import PolicyFile
from agent.redact import Redaction, Redactor
from agent.spool import Claim, Spool, until_written

log = Log("executor")

DEFAULT_TIMEOUT_SECONDS = 10.0  # for commands that name none; from the original specification
INTERRUPTED = "The agent was stopped while this ran. What kubectl had printed so far is kept; ask again for the rest."


class Output:
    """One command's output on its way into the spool: redacted, in pieces, the last of them for the final commit."""

    def __init__(self, spool: Spool, command_id: str, redaction: Redaction) -> None:
        self._spool = spool
        self._command_id = command_id
        self._redactors: dict[Stream, Redactor] = {"stdout": Redactor(redaction), "stderr": Redactor(redaction)}

    async def write(self, stream: Stream, text: str) -> None:
        """Take some text. The spool stores none after a piece that the disk refuses."""
        if piece := self._redactors[stream].feed(text):
            await self._spool.append(self._command_id, stream, piece)

    def end(self, *, cut: bool) -> tuple[list[tuple[Stream, str]], Counter[str]]:
        """The output has ended; `cut`: kubectl had more. Returns what isn't stored yet, and the credentials by kind."""
        rest = [(stream, redactor.end(cut=cut)) for stream, redactor in self._redactors.items()]
        return rest, self._redactors["stdout"].counts + self._redactors["stderr"].counts


class Executor:
    """Runs commands, by `count` tasks that execute `run`; none for more than `timeout_max` seconds."""

    def __init__(
        self, spool: Spool, kubectl: Kubectl, policies: PolicyFile, metrics: Metrics, *, count: int, timeout_max: float
    ) -> None:
        self._spool = spool
        self._kubectl = kubectl
        self._policies = policies
        self._timeout_max = timeout_max
        self._metrics = metrics
        self.slots = trio.CapacityLimiter(count)  # one for each running kubectl

    async def run(self) -> None:
        """Run commands one after the other, for ever. When cancelled, the current one ends as `interrupted`."""
        while True:
            await self._spool.work.wait()
            if (claim := self._spool.claim()) is not None:
                await self._execute(claim)

    async def _execute(self, claim: Claim) -> None:
        policy = self._policies.current()
        output = Output(self._spool, claim.command.id, policy.redaction)
        began = trio.current_time()
        try:
            result = await self._result(claim, policy, output)
        except* trio.Cancelled:  # alone or, from a nursery inside, in a group
            await self._finish(claim.command, Result(Outcome.INTERRUPTED, error=INTERRUPTED), output, began)
            raise
        await self._finish(claim.command, result, output, began)

    async def _result(self, claim: Claim, policy: Policy, output: Output) -> Result:
        command = claim.command
        most_seconds = min(self._timeout_max, policy.max_timeout_seconds or self._timeout_max)
        try:
            if command.tool == "log_search":
                search = LogSearch.parse(command.request or {})
                seconds = min(command.timeout or most_seconds, most_seconds)
                searcher = Searcher(self._kubectl, self.slots, self._metrics.redacted, policy, seconds)
                return await searcher.run(search, output.write)
            argv = decide(command.args, policy)
            seconds = min(command.timeout or DEFAULT_TIMEOUT_SECONDS, most_seconds)
            most = min(claim.output_bytes, policy.max_output_bytes or claim.output_bytes)
            log.debug("kubectl starts", command_id=command.id, verb=argv[0], timeout_seconds=seconds)
            async with self.slots:
                return await self._kubectl.run(argv, timeout=seconds, max_bytes=most, sink=output.write)
        except Refused as refusal:
            return Result(Outcome.REFUSED, error=refusal.sentence, rule=refusal.rule)
        except KubectlError as error:
            return Result(Outcome.UNSTARTED, error=str(error))

    async def _finish(self, command: Command, result: Result, output: Output, began: float) -> None:
        """Store the result, even when cancelled. If that fails for good, the command runs again at the next start."""
        rest, redactions = output.end(cut=result.breaks_off)
        result = replace(
            result,
            execution_time_ms=round((trio.current_time() - began) * 1000),
            redactions=result.redactions + redactions.total() - redactions["failed"],
        )
        write, says = partial(self._spool.finish, command.id, result, rest), "result can't be written, trying again"
        try:
            await until_written(self._spool, write, log, says, command_id=command.id)
        except SpoolFull:
            log.error("result given up, the command runs again at the next start", command_id=command.id)
            return
        self._metrics.finished(result)
        self._metrics.redacted(redactions)
        if redactions["failed"]:
            log.error("redaction failed, output was left out", command_id=command.id, windows=redactions["failed"])
        ids = {"command_id": command.id, "correlation_id": command.correlation_id, "session_id": command.session_id}
        told = ("outcome", "exit_code", "execution_time_ms", "output_bytes", "redactions", "rule")
        log.info("command finished", **ids, **{name: getattr(result, name) for name in told})
