"""What both contracts have in common: the shape of a link, and what the API's answer to a result means."""

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import trio

from agent.errors import LinkDown
from agent.link.answer import Answer
from agent.link.commands import Batch
from agent.link.http import Http
from agent.link.result import ReadyResult, send


class Verdict(StrEnum):
    """What the API did with one result."""

    STORED = "stored"
    REFUSED = "refused"  # for good; sending it again won't help
    TOO_LARGE = "too_large"  # it would take a smaller one
    LATER = "later"  # it couldn't be reached, was busy, or something else answered in its place


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one result. `words` are the API's, cut, or say what went wrong; `retry_after` is in seconds."""

    verdict: Verdict
    status: int | None = None
    words: str = ""
    retry_after: float | None = None


class Link(ABC):
    """A way to the central API. All waiting has a limit, and every fault of the API's is a `LinkDown` or a `Reply`."""

    pulls: bool  # whether commands stay at the API until they are asked for; if not, each must be answered
    journal: int  # how many commands may wait here beyond those that the executors run
    burst: int  # how many commands one receive may bring beyond the room that is left
    pause_seconds: float  # the longest pause between two attempts while the API can't be reached
    results: str  # where results are sent
    body: Callable[[ReadyResult], Awaitable[dict[str, Any]]]  # a result as the contract has it
    refusing: frozenset[int]  # statuses with which the API itself refuses this one result for good

    def __init__(self, http: Http) -> None:
        self._http = http
        self._usual: tuple[int, list[str]] | None = None
        self._doubted_at = -math.inf

    @abstractmethod
    async def receive(self, *, eager: bool) -> Batch:
        """Wait for commands, for a while; `eager` as long as it takes to see that the API is there. An empty batch is
        normal. Raises LinkDown if the API couldn't be reached, or what answered wasn't the API.
        """

    @abstractmethod
    async def recognise(self) -> bool:
        """Ask for something cheap that only the API can answer. False if that doesn't show in the answer. Raises
        LinkDown if nothing answered, or something that isn't the API, with its `status`.
        """

    async def deliver(self, ready: ReadyResult) -> Reply:
        """Send one result."""
        began = trio.current_time()
        try:
            answer = await send(self._http, self.results, ready, await self.body(ready))
        except LinkDown as down:
            return Reply(Verdict.LATER, down.status, down.problem, down.retry_after)
        return self._reply(answer, ready.command_id, began)

    async def run(self) -> None:
        """Whatever must run besides receiving and delivering; ends only when cancelled."""
        await trio.sleep_forever()

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    def _reply(self, answer: Answer, command_id: str, began: float) -> Reply:
        """What an answer to a result means. Anything can answer 200 or 404, so the body must read like the API's."""
        said, status = answer.said, answer.status
        words = f"HTTP {status}: {answer.words}" if answer.words else f"HTTP {status}"
        verdict = Verdict.LATER
        if 200 <= status < 300:
            own = not answer.body.strip() or (said is not None and said.get("command_id", command_id) == command_id)
            looks = (status, sorted(said or {}))
            named = "command_id" in (said or {})  # only the API knows which one was sent
            if own and (named or (self._usual is None and began > self._doubted_at)):
                self._usual = looks
            if own and looks == self._usual:
                return Reply(Verdict.STORED, status)
            if own:
                # Unlike those before, it may be somebody else's. The next sender must first recognise the API, and what
                # the API answers then is the new norm.
                self._usual, self._doubted_at = None, trio.current_time()
            words += ": not the API's acknowledgement"
        elif status == 413:
            verdict = Verdict.TOO_LARGE
        elif status in self.refusing and said is not None:
            verdict, words = Verdict.REFUSED, answer.words
        return Reply(verdict, status, words, answer.retry_after)
