"""The long-poll contract.

GET  /agent/status            {"cluster_id", "is_active", "queue_depth"}: sets the rhythm, and its failure stops nothing
GET  /agent/commands?wait=N   200 {"commands": [...]}, at most 10, or 204; N is 1 in an active session, else 20
POST /agent/results           {"command_id", "result": {...}}: 200 stored; 400, 404, 409, 422 refused; 413 too large
"""

import json
from collections.abc import Callable

import trio

from agent.errors import LinkDown
from agent.link.answer import ELSEWHERE, Answer, unhappy
from agent.link.body import Body, reply
from agent.link.commands import read_batch
from agent.link.contract import Batch, ReadyResult, Reply, Verdict
from agent.link.http import Http
from agent.link.result import poll_result
from agent.log import Log

log = Log("link")

WAIT_ACTIVE, WAIT_IDLE = 1, 20
"""Seconds that the server may hold a poll, in an active session and without one."""

READ_MARGIN_SECONDS = 5
"""How much longer than that an answer may take before the poll is given up."""

STATUS_SECONDS = 5.0
STATUS_EVERY_ACTIVE, STATUS_EVERY_IDLE = 10.0, 60.0
"""How often the session's state is asked for. An idle agent sends three polls and one question a minute."""

SHORTEST_CYCLE_SECONDS = 1.0
"""The least time between two polls of which the first brought nothing."""

HELD_AGAIN_SECONDS = 600.0
"""How long after polls were cut off full ones are tried again."""

CUT = frozenset({408, 502, 504, 524})
"""What a balancer says when it ends a poll that the API still holds. Others just close."""

REFUSING = frozenset({400, 404, 405, 409, 410, 411, 414, 415, 422, 431})
"""Statuses that mean this one result, for good, if the API itself says so."""


class Hold:
    """How long a poll may be held in an idle session. Something on the way may cut off what is held too long.

    Args:
        now: a monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seconds = WAIT_IDLE
        self._cuts = 0
        self._shortened_at = 0.0

    @property
    def seconds(self) -> int:
        """For the next poll."""
        if self._seconds < WAIT_IDLE and self._now() - self._shortened_at > HELD_AGAIN_SECONDS:
            self._seconds, self._cuts = WAIT_IDLE, 1
        return self._seconds

    def lasted(self) -> None:
        """A poll was held for as long as was asked."""
        self._cuts = 0

    def was_cut(self, after_seconds: float) -> None:
        """A poll was cut off, and a short one after it was answered. Once is chance."""
        self._cuts += 1
        if self._cuts > 1:
            fits = after_seconds * 0.8 if after_seconds < self._seconds else self._seconds / 2  # or it ended in silence
            self._seconds = max(WAIT_ACTIVE, int(fits))
            self._shortened_at = self._now()
            log.info("polls are cut off on the way: asking for shorter ones", seconds=self._seconds)


class PollLink:
    """Long polling.

    Args:
        http: the client.
        now: a monotonic clock, in seconds.
    """

    pulls = True
    journal = 4
    burst = 10
    pause_seconds = 60.0

    def __init__(self, http: Http, now: Callable[[], float]) -> None:
        self._http = http
        self._now = now
        self._hold = Hold(now)
        self._active = False
        self._asked_at: float | None = None
        self._worked_at: float | None = None

    async def receive(self, *, eager: bool) -> Batch:
        """One long poll, or a short one."""
        known = not eager and await self._ask_status()
        wait = WAIT_ACTIVE if eager or self._in_session() else self._hold.seconds
        began = self._now()
        answer = await self._poll(wait)
        batch = self._batch(answer, held=self._now() - began >= wait / 2 or known)
        if not batch.commands and not batch.malformed and not eager:
            # A server that doesn't hold polls must not be asked thousands of times a second.
            await trio.sleep(max(0.0, began + SHORTEST_CYCLE_SECONDS - self._now()))
        return batch

    async def recognise(self) -> bool:
        """Whether the session's state is answered as only the API does."""
        self._asked_at = self._now()
        try:
            answer = await self._http.request("GET", "/agent/status", seconds=STATUS_SECONDS)
            status = json.loads(answer.body) if answer.status == 200 else None
        except LinkDown as down:
            if down.status is None:
                raise
            status = None
        except (ValueError, RecursionError):
            status = None
        active = status.get("is_active") if isinstance(status, dict) else None
        self._active = active is True
        return isinstance(active, bool)

    async def deliver(self, ready: ReadyResult) -> Reply:
        """Send one result."""
        try:
            answer = await Body(ready, await poll_result(ready)).post(self._http, "/agent/results")
        except LinkDown as down:
            return Reply(Verdict.LATER, down.status, down.problem, down.retry_after)
        if answer.status in {401, 403}:
            self._http.token.reread()
        return reply(answer, ready.command_id, REFUSING)

    async def run(self) -> None:
        """Nothing goes on beside a long poll."""
        await trio.sleep_forever()

    def abandon(self) -> None:
        """Give up answers that have begun."""
        self._http.abandon()

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _poll(self, wait: int) -> Answer:
        """One poll. One that is cut off is followed at once by a short one, which tells whether the API is there."""
        began = self._now()
        try:
            answer = await self._ask(wait)
        except LinkDown as down:
            if wait <= WAIT_ACTIVE or not (down.status is None or down.status in CUT):
                raise
        else:
            if wait <= WAIT_ACTIVE or answer.status not in CUT:
                if self._now() - began >= wait * 0.9:
                    self._hold.lasted()
                return answer
        after = self._now() - began
        answer = await self._ask(WAIT_ACTIVE)
        if after >= WAIT_ACTIVE and answer.status in {200, 204}:
            self._hold.was_cut(after)
        return answer

    async def _ask(self, wait: int) -> Answer:
        path, limit = f"/agent/commands?wait={wait}", wait + READ_MARGIN_SECONDS
        return await self._http.request("GET", path, seconds=limit, again=wait <= WAIT_ACTIVE)

    def _batch(self, answer: Answer, *, held: bool) -> Batch:
        if answer.status == 204:
            return Batch(recognised=held)
        if answer.status in {401, 403}:
            self._http.token.reread()
        if answer.status != 200:
            raise unhappy(answer)
        batch = read_batch(answer.body)
        if batch is None:
            problem = 'HTTP 200 without a JSON object that has a list "commands": not the API\'s answer'
            raise LinkDown(problem, ELSEWHERE, status=200)
        if batch.commands:
            self._worked_at = self._now()
        return batch

    def _in_session(self) -> bool:
        worked = self._worked_at is not None and self._now() - self._worked_at < STATUS_EVERY_ACTIVE
        return self._active or worked

    async def _ask_status(self) -> bool:
        """Ask now and then. True if the API has just answered."""
        every = STATUS_EVERY_ACTIVE if self._in_session() else STATUS_EVERY_IDLE
        if self._asked_at is not None and self._now() - self._asked_at < every:
            return False
        try:
            return await self.recognise()
        except LinkDown as down:
            log.debug("session state unknown", reason=down.problem)
            self._active = False
            return False
