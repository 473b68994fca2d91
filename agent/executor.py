"""Runs accepted commands: guard, kubectl, spool. Several executors are siblings; each runs one command at a time."""

import trio

from agent.errors import KubectlError, SpoolFull
from agent.guard import GuardPlan, Policy, Refused, decide
from agent.kubectl import Exit, Kubectl
from agent.log import Log
from agent.metrics import Metrics
from agent.model import PIECE_BYTES, Command, Outcome, Result, Stream
from agent.policy import PolicyFile
from agent.spool import Claim, Spool

log = Log("executor")

DEFAULT_TIMEOUT_SECONDS = 10.0
"""For commands that ask for none, as the specification has it."""

RETRY_WRITE_SECONDS = 1.0
"""How often a result is tried to be written again while the disk refuses it."""


class Output:
    """One command's output on its way into the spool: collected to pieces, the last ones kept for the final commit."""

    def __init__(self, spool: Spool, command_id: str) -> None:
        self._spool = spool
        self._command_id = command_id
        self._held: dict[Stream, list[str]] = {"stdout": [], "stderr": []}
        self._held_bytes: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self._lost: set[Stream] = set()

    @property
    def lost_to_full_disk(self) -> bool:
        """Whether some of it is in nobody's hands any more."""
        return bool(self._lost)

    async def write(self, stream: Stream, text: str) -> None:
        """Take some text; a piece that is complete goes to the spool. After a loss nothing: an output has no holes."""
        size = len(text.encode())
        if self._held_bytes[stream] + size > PIECE_BYTES:
            await self._flush(stream)
        if stream not in self._lost:
            self._held[stream].append(text)
            self._held_bytes[stream] += size

    def rest(self) -> list[tuple[Stream, str]]:
        """What isn't in the spool yet."""
        return [(stream, "".join(texts)) for stream, texts in self._held.items() if texts]

    async def _flush(self, stream: Stream) -> None:
        text = "".join(self._held[stream])
        self._held[stream].clear()
        self._held_bytes[stream] = 0
        if not text:
            return
        try:
            await self._spool.append(self._command_id, stream, text)
        except SpoolFull:
            # Room for one whole output is set aside before a command starts, so this is another's doing: the disk is
            # full. What is written is kept, the result says that it was cut, and the command ends in the ordinary way.
            self._lost.add(stream)


class Executor:
    """One executor.

    Args:
        spool: where commands come from and results go.
        kubectl: the child.
        policies: the guard's policy, as the file has it now.
        timeout_max: the longest that a command may run, in seconds.
        metrics: counters.
    """

    def __init__(
        self,
        spool: Spool,
        kubectl: Kubectl,
        policies: PolicyFile,
        *,
        timeout_max: float,
        metrics: Metrics,
    ) -> None:
        self._spool = spool
        self._kubectl = kubectl
        self._policies = policies
        self._timeout_max = timeout_max
        self._metrics = metrics
        self._draining = False
        self._waiting = trio.CancelScope()
        self._finishing = trio.CancelScope(shield=True)
        self._abandoned = False

    def drain(self) -> None:
        """From now on `run` ends as soon as nothing is left to run."""
        self._draining = True
        self._waiting.cancel()

    def abandon(self) -> None:
        """Give up writing a result down: the disk takes nothing, and the agent must end."""
        self._abandoned = True
        self._finishing.cancel()

    async def run(self) -> None:
        """Run commands one after the other, until `drain`. When cancelled, the one at hand ends as `interrupted`."""
        failing = False
        while True:
            with trio.CancelScope() as self._waiting:
                if not self._draining:
                    await self._spool.work.wait()
            try:
                claim = await self._spool.claim()
                failing = False
            except SpoolFull as error:
                if not failing:
                    log.error("commands can't be claimed, trying again", reason=str(error))
                failing = True
                await trio.sleep(RETRY_WRITE_SECONDS)
                continue
            if claim is not None:
                await self._execute(claim)
            elif self._draining:
                return

    async def _execute(self, claim: Claim) -> None:
        command = claim.command
        output = Output(self._spool, command.id)
        began = trio.current_time()
        try:
            result = await self._result(claim, output)
        except* trio.Cancelled:  # alone or, from a nursery inside, in a group
            result = Result(Outcome.INTERRUPTED, error=INTERRUPTED, execution_time_ms=_ms(began))
            await self._finish(command, result, output)
            raise
        await self._finish(command, result, output)

    async def _result(self, claim: Claim, output: Output) -> Result:
        policy = self._policies.current()
        try:
            plan = decide(list(claim.command.args), policy)
        except Refused as refusal:
            return Result(Outcome.REFUSED, error=refusal.sentence, rule=refusal.rule)
        return await self._run(claim, plan, policy, output)

    async def _run(self, claim: Claim, plan: GuardPlan, policy: Policy, output: Output) -> Result:
        command = claim.command
        timeout = min(command.timeout or DEFAULT_TIMEOUT_SECONDS, self._timeout_max)
        timeout = min(timeout, policy.max_timeout_seconds or timeout)
        most = min(claim.output_bytes, policy.max_output_bytes or claim.output_bytes)
        log.debug("kubectl starts", command_id=command.id, verb=plan.verb, timeout_seconds=timeout)
        with self._metrics.kubectl_running():
            try:
                exit_ = await self._kubectl.run(plan.argv, timeout=timeout, max_bytes=most, sink=output.write)
            except KubectlError as error:
                return Result(Outcome.UNSTARTED, error=str(error))
        return _from_exit(exit_, timeout, lost=output.lost_to_full_disk)

    async def _finish(self, command: Command, result: Result, output: Output) -> None:
        """Write the result down, whatever happens meanwhile. Without a spool it is lost, and the command runs again."""
        with trio.CancelScope(shield=True) as self._finishing:
            if self._abandoned:  # while kubectl was still ending: it is tried once
                self._finishing.deadline = trio.current_time() + RETRY_WRITE_SECONDS / 2
            await self._until_written(command, result, output)
        if self._finishing.cancelled_caught:
            log.error("result given up, the command runs again at the next start", command_id=command.id)
            return
        await trio.lowlevel.cancel_shielded_checkpoint()  # whoever sends the result goes first
        self._metrics.finished(result)
        log.info(
            "command finished",
            command_id=command.id,
            correlation_id=command.correlation_id,
            session_id=command.session_id,
            outcome=result.outcome.value,
            exit_code=result.exit_code,
            execution_time_ms=result.execution_time_ms,
            output_bytes=result.output_bytes,
            rule=result.rule,
        )

    async def _until_written(self, command: Command, result: Result, output: Output) -> None:
        told = False
        while True:
            try:
                await self._spool.finish(command.id, result, output.rest())
            except SpoolFull as error:
                if not told:
                    log.error("result can't be written, trying again", command_id=command.id, reason=str(error))
                    told = True
            else:
                return
            await trio.sleep(RETRY_WRITE_SECONDS)


INTERRUPTED = "The agent was stopped while this ran. What kubectl had printed so far is kept; ask again for the rest."
TOO_LARGE = (
    "kubectl ran out of memory: the answer was too large for it. "
    "Ask for less: one namespace, a selector (-l), one object, or only names (-o name)."
)
CROWDED = (
    "kubectl was ended: its answer and those of others that ran at the same time were too large for the agent's memory "
    "together. Ask again, or for less: one namespace, a selector (-l), one object, or only names (-o name)."
)


def _from_exit(exit_: Exit, timeout: float, *, lost: bool) -> Result:
    outcome, error = Outcome.FAILED, None
    if exit_.timed_out:
        outcome = Outcome.TIMED_OUT
        error = f"kubectl was ended after {timeout:g} s, the command's time limit. What it had printed is kept."
    elif exit_.crowded:
        error = CROWDED
    elif exit_.signal is not None:
        error = f"kubectl was ended by {exit_.signal}, not by the agent{_guess(exit_.signal)}."
    elif exit_.out_of_memory:
        error = TOO_LARGE
    elif exit_.code == 0:
        outcome = Outcome.SUCCEEDED
    return Result(
        outcome,
        exit_code=exit_.code,
        error=error,
        execution_time_ms=exit_.duration_ms,
        output_bytes=exit_.stdout_bytes,
        truncated=exit_.truncated or lost,
    )


def _guess(signal: str) -> str:
    return ": probably by the kernel, for want of memory" if signal == "SIGKILL" else ""


def _ms(began: float) -> int:
    return round((trio.current_time() - began) * 1000)
