"""Runs a search: finds the pods, then reads their logs, several at a time. The guard decides on each command line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from agent.errors import KubectlError
from agent.guard import Policy, decide
from agent.kubectl import Kubectl, Sink
from agent.log_search.container import ContainerLog
from agent.log_search.report import MOST_PODS, TIME_UP, report
from agent.log_search.request import LogSearch
from agent.model import Outcome, Result, Stream
from agent.redact import MARK, Redactor

MOST_SECONDS = 50.0  # the longest search, whatever the API allows
_LOG_BYTES = 64 << 20  # 10,000 lines of 6 KB; it is searched while it streams
_ENDING_SECONDS = 0.5  # kept back from the time limit for the answer itself


@dataclass(frozen=True, slots=True)
class Searcher:
    """What runs one search. `slots` bounds how many kubectl of the whole agent run at once; `redacted` is told how many
    credentials were taken out of a log, by kind.
    """

    kubectl: Kubectl
    slots: trio.CapacityLimiter
    redacted: Callable[[Mapping[str, int]], None]
    policy: Policy
    seconds: float
    began: float = field(default_factory=trio.current_time)

    async def run(self, search: LogSearch, write: Sink) -> Result:
        """Search, and write the answer. If the time runs out, the answer says what wasn't searched. Raises Refused if
        the query, the guard or the policy doesn't allow it, and KubectlError if kubectl can't be started.
        """
        match, listed = search.matcher(), list[str]()
        async with self.slots:
            ended, said = await self._ask(decide(search.pods_line(), self.policy), listed.append)
        if not ended.success:
            await write("stderr", said)
            return Result(ended.outcome, ended.exit_code, f"The pods couldn't be listed. {ended.error or ''}".rstrip())
        pods = [line.split() for line in "".join(listed).splitlines()]
        lines = {
            f"{pod}/{container}": decide(search.logs_line(pod, container), self.policy)
            for pod, *containers in pods[:MOST_PODS]
            for container in containers
            if search.container in {None, container}
        }
        logs = [ContainerLog(name, match, search.context_lines) for name in lines]
        # With turns of its own, only N of its lines queue for slots: other commands need not wait for all of them.
        turns = trio.CapacityLimiter(self.slots.total_tokens)
        async with trio.open_nursery() as nursery:
            for log in logs:
                nursery.start_soon(self._read, log, lines[log.name], turns)
        text = report(search, logs, len(pods), min(self.seconds, MOST_SECONDS))
        await write("stdout", text)
        return Result(Outcome.SUCCEEDED, 0, output_bytes=len(text.encode()), redactions=text.count(MARK))

    async def _ask(self, argv: Sequence[str], heard: Callable[[str], object]) -> tuple[Result, str]:
        """Run one command line: how it ended, and what it said on stderr, in short."""
        said: list[str] = []

        async def sink(stream: Stream, text: str) -> None:
            (heard if stream == "stdout" else said.append)(text)

        left = self.began + min(self.seconds, MOST_SECONDS) - _ENDING_SECONDS - trio.current_time()
        if left <= 0:
            return Result(Outcome.TIMED_OUT, 1, "There was no time left."), ""
        ended = await self.kubectl.run(argv, timeout=left, max_bytes=_LOG_BYTES, sink=sink)
        return ended, " ".join("".join(said).split())[:300]

    async def _read(self, log: ContainerLog, argv: Sequence[str], turns: trio.CapacityLimiter) -> None:
        """Search one log while it streams."""
        redactor = Redactor(self.policy.redaction)
        try:
            async with turns, self.slots:
                ended, said = await self._ask(argv, lambda text: log.feed(redactor.feed(text)))
        except KubectlError as error:
            log.error = error.problem
            return
        log.feed(redactor.end(cut=ended.breaks_off))
        log.end()
        self.redacted(redactor.counts)
        if ended.outcome is Outcome.TIMED_OUT:
            log.error = TIME_UP
        elif ended.truncated:
            log.error = f"only its first {_LOG_BYTES >> 20} MiB were read; lower tail_lines"
        elif "previous terminated container" in said:
            log.error = "it hasn't restarted"
        elif not ended.success:
            log.error = said or ended.error or f"kubectl ended with exit code {ended.exit_code}"
        elif redactor.counts["failed"]:
            log.error = "a part of it was left out, as it couldn't be looked through for credentials"
