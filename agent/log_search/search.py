"""The plan of a search: find the pods, read their logs, several at a time. Each line is decided by the guard."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import trio

from agent.errors import KubectlError
from agent.guard import GuardPlan, Policy, decide
from agent.kubectl import Exit, Kubectl
from agent.log_search.matcher import Reader, compile_query
from agent.log_search.report import MOST_PODS, TIME_UP, Log, report
from agent.log_search.request import LogSearch
from agent.model import Outcome, Result, Stream
from agent.redact import MARK, Redaction, Redactor

MOST_SECONDS = 50.0
"""A search takes no longer than that, whatever the API allows."""

_LOG_BYTES = 64 << 20  # 10,000 lines of 6 KB; it is searched while it streams
_ERROR_CHARS = 300
_ENDING_SECONDS = 0.5  # kept of the time limit for the answer itself

Write = Callable[[Stream, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Searcher:
    """What searches need: `slots` bounds how many kubectl of the whole agent run at once; `redacted` counts."""

    kubectl: Kubectl
    slots: trio.CapacityLimiter
    redacted: Callable[[Mapping[str, int]], None]

    async def run(self, search: LogSearch, policy: Policy, seconds: float, write: Write) -> Result:
        """Search, and write the answer. Where the time ends first, the answer says what wasn't searched.

        Raises:
            BadRequest: the query can't be searched for.
            Refused: the guard or the policy doesn't allow it.
            KubectlError: kubectl can't be started.
        """
        began, seconds = trio.current_time(), min(seconds, MOST_SECONDS)
        match = compile_query(search)
        # Its own turns keep all but N of its lines out of the queue for slots: other commands need not wait for all.
        turns = trio.CapacityLimiter(self.slots.total_tokens)
        lines = _Lines(self, turns, policy.redaction, began + seconds - _ENDING_SECONDS)
        listed: list[str] = []
        ended, said = await lines.run(decide(search.pods_line(), policy), listed.append)
        if ended.code:
            outcome = Outcome.TIMED_OUT if ended.why == "time limit" else Outcome.FAILED
            return Result(outcome, ended.code, f"The pods couldn't be listed: {said or TIME_UP}", _ms(began))
        pods = [line.split("|") for line in "".join(listed).splitlines()]
        logs = [
            Log(name, container, Reader(match, search.context_lines))
            for name, *kinds in pods[:MOST_PODS]
            for container in " ".join(kinds).split()
            if search.container in {None, container}
        ]
        plans = [decide(search.logs_line(log.pod, log.container), policy) for log in logs]
        async with trio.open_nursery() as nursery:
            for log, plan in zip(logs, plans, strict=True):
                nursery.start_soon(lines.read, log, plan)
        text = report(search, logs, len(pods), seconds)
        await write("stdout", text)
        return Result(Outcome.SUCCEEDED, 0, None, _ms(began), len(text.encode()), redactions=text.count(MARK))


@dataclass(frozen=True, slots=True)
class _Lines:
    """Runs the lines of one search."""

    searcher: Searcher
    turns: trio.CapacityLimiter
    redaction: Redaction
    ends_at: float

    async def run(self, plan: GuardPlan, heard: Callable[[str], object]) -> tuple[Exit, str]:
        """One line: how it ended, and what it said beside."""
        said: list[str] = []

        async def sink(stream: Stream, text: str) -> None:
            if stream == "stdout":
                heard(text)
            elif sum(map(len, said)) < _ERROR_CHARS:
                said.append(text)

        async with self.turns, self.searcher.slots:
            left = self.ends_at - trio.current_time()
            if left <= 0:
                return Exit(1, None, "time limit", 0, 0, truncated=False), ""
            ended = await self.searcher.kubectl.run(plan.argv, timeout=left, max_bytes=_LOG_BYTES, sink=sink)
        redactor = Redactor(self.redaction)
        complaint = redactor.feed(" ".join("".join(said).split())[:_ERROR_CHARS]) + redactor.end()
        return ended, complaint.strip()

    async def read(self, log: Log, plan: GuardPlan) -> None:
        """Search one log while it streams."""
        redactor = Redactor(self.redaction)
        try:
            ended, said = await self.run(plan, lambda text: log.found.feed(redactor.feed(text)))
        except KubectlError as error:
            log.error = error.problem
            return
        log.found.feed(redactor.end(cut=ended.truncated))
        log.found.end()
        self.searcher.redacted(redactor.counts)
        if ended.why == "time limit":
            log.error = TIME_UP
        elif ended.truncated:
            log.error = f"only its first {_LOG_BYTES >> 20} MiB were read; lower tail_lines"
        elif "previous terminated container" in said:
            log.error = "it hasn't restarted"
        elif ended.code:
            log.error = said or f"kubectl ended with exit code {ended.code}"
        elif redactor.counts["failed"]:
            log.error = "a part of it was left out, as it couldn't be looked through for credentials"


def _ms(began: float) -> int:
    return round((trio.current_time() - began) * 1000)
