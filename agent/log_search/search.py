"""The plan of a search: find the pods, read their logs, several at a time. Each line is decided by the guard."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from agent.errors import KubectlError
from agent.guard import GuardPlan, Policy, decide
from agent.kubectl import Exit, Kubectl
from agent.log_search.matcher import Reader, compile_query
from agent.log_search.report import Log, Outcomes, report
from agent.log_search.request import LogSearch
from agent.model import Outcome, Result, Stream
from agent.redact import MARK, Redactor

MOST_PODS = 20
MOST_SECONDS = 50.0
"""A search takes no longer than that, whatever the API allows."""

_POD_LIST_BYTES = 1 << 20
_LOG_BYTES = 64 << 20  # 10,000 lines of 6 KB; it is searched while it streams
_ERROR_CHARS = 300
_ENDING_SECONDS = 0.5  # kept of the time limit for the answer itself

Write = Callable[[Stream, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Searcher:
    """What searches need. `slots` bounds how many kubectl of the whole agent run at once."""

    kubectl: Kubectl
    slots: trio.CapacityLimiter

    async def run(self, search: LogSearch, policy: Policy, seconds: float, write: Write) -> Result:
        """Search, and write the answer. Where the time ends first, the answer says what wasn't searched.

        Raises:
            BadRequest: the query can't be searched for.
            Refused: the guard or the policy doesn't allow it.
            KubectlError: kubectl can't be started.
        """
        began = trio.current_time()
        match = compile_query(search)
        ends_at = began + min(seconds, MOST_SECONDS) - _ENDING_SECONDS
        ended, listed, said = await self._collect(decide(search.pods_line(), policy), policy, ends_at)
        if ended.code:
            outcome = Outcome.TIMED_OUT if ended.timed_out else Outcome.FAILED
            return Result(outcome, ended.code, f"The pods couldn't be listed: {said}", _ms(began))
        pods = [line.split("|") for line in listed.splitlines()]
        logs = [
            Log(name, container)
            for name, *kinds in pods[:MOST_PODS]
            for container in " ".join(kinds).split()
            if search.container in {None, container}
        ]
        plans = [decide(search.logs_line(log.pod, log.container), policy) for log in logs]
        async with trio.open_nursery() as nursery:
            for log, plan in zip(logs, plans, strict=True):
                nursery.start_soon(self._read, log, plan, Reader(match, search.context_lines), policy, ends_at)
        text = report(search, Outcomes(logs, len(pods), MOST_PODS))
        await write("stdout", text)
        return Result(Outcome.SUCCEEDED, 0, None, _ms(began), len(text.encode()), redactions=text.count(MARK))

    async def _read(self, log: Log, plan: GuardPlan, reader: Reader, policy: Policy, ends_at: float) -> None:
        redactor = Redactor(policy.redaction)
        log.found = reader.found

        async def heard(text: str) -> None:
            reader.feed(redactor.feed(text))

        try:
            ended, said = await self._run(plan, policy, ends_at, heard)
        except KubectlError as error:
            log.error = error.problem
            return
        reader.feed(redactor.end(cut=ended.truncated))
        reader.end()
        if ended.timed_out:
            log.error = "the time was up before all of it was read"
        elif ended.code:
            log.error = said or f"kubectl ended with exit code {ended.code}"

    async def _collect(self, plan: GuardPlan, policy: Policy, ends_at: float) -> tuple[Exit, str, str]:
        """Run a plan whose output is small: how it ended, its output, and what it said beside."""
        printed: list[str] = []

        async def keep(text: str) -> None:
            printed.append(text)

        ended, said = await self._run(plan, policy, ends_at, keep)
        return ended, "".join(printed), said

    async def _run(
        self, plan: GuardPlan, policy: Policy, ends_at: float, heard: Callable[[str], Awaitable[None]]
    ) -> tuple[Exit, str]:
        said: list[str] = []

        async def sink(stream: Stream, text: str) -> None:
            if stream == "stdout":
                await heard(text)
            elif sum(map(len, said)) < _ERROR_CHARS:
                said.append(text)

        async with self.slots:
            left = ends_at - trio.current_time()
            if left <= 0:
                return Exit(1, None, True, 0, 0, truncated=False), "the time was up"
            ended = await self.kubectl.run(plan.argv, timeout=left, max_bytes=_LOG_BYTES, sink=sink)
        redactor = Redactor(policy.redaction)
        complaint = redactor.feed(" ".join("".join(said).split())[:_ERROR_CHARS]) + redactor.end()
        return ended, complaint.strip()


def _ms(began: float) -> int:
    return round((trio.current_time() - began) * 1000)


def limit(asked: float | None, most: float) -> float:
    """Seconds for a search: what was asked for, or all that is allowed."""
    return min(asked or math.inf, most, MOST_SECONDS)
