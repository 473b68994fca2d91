"""The long-poll contract.

GET  /agent/status            {"cluster_id", "is_active", "queue_depth"}: sets the rhythm, and its failure stops nothing
GET  /agent/commands?wait=N   200 {"commands": [...]}, at most 10, or 204; N is 1 in an active session, else 20
POST /agent/results           {"command_id", "result": {...}}: 200 stored; 400, 404, 409, 422 refused; 413 too large
"""

import json
from collections.abc import Callable

import trio

from agent.errors import LinkDown
from agent.link.answer import Answer, unhappy
from agent.link.body import Body, Segment, reply, result_segments, trace_headers
from agent.link.commands import read_batch
from agent.link.contract import Batch, Parcel, Reply, Verdict
from agent.link.http import Http
from agent.log import Log
from agent.model import json_text

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

REFUSING = frozenset({400, 404, 405, 409, 410, 411, 414, 415, 422, 431})
"""Statuses that mean this one result, for good. 401, 403, 408, 425, 429 and 5xx mean everything, for now."""


class PollLink:
    """Long polling.

    Args:
        http: the client.
        now: a monotonic clock, in seconds.
    """

    holds = True
    journal = 4
    burst = 10
    pause_seconds = 60.0

    def __init__(self, http: Http, now: Callable[[], float]) -> None:
        self._http = http
        self._now = now
        self._active = False
        self._asked_at: float | None = None
        self._worked_at: float | None = None
        self._silent = 0

    async def receive(self, *, eager: bool) -> Batch:
        """One long poll. A first one that gets no answer in time is normal; a second in a row is `LinkDown`."""
        if not eager:
            await self._ask_status()
        wait = WAIT_ACTIVE if eager or self._in_session() else WAIT_IDLE
        began = self._now()
        batch = await self._poll(wait, eager=eager)
        if not batch.commands and not batch.malformed and not eager:
            # A server that doesn't hold polls must not be asked thousands of times a second.
            await trio.sleep(max(0.0, began + SHORTEST_CYCLE_SECONDS - self._now()))
        return batch

    async def deliver(self, parcel: Parcel) -> Reply:
        """Send one result."""
        body = Body(parcel, _segments(parcel))
        try:
            answer = await body.post(self._http, "/agent/results", trace_headers(parcel))
        except LinkDown as down:
            return Reply(Verdict.LATER, down.status, down.problem, down.retry_after)
        if answer.status in {401, 403}:
            self._http.token.reread()
        return reply(answer, REFUSING)

    async def run(self) -> None:
        """Nothing goes on beside a long poll."""
        await trio.sleep_forever()

    def abandon(self) -> None:
        """Give up answers that have begun."""
        self._http.abandon()

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _poll(self, wait: int, *, eager: bool) -> Batch:
        limit = wait + READ_MARGIN_SECONDS
        try:
            answer = await self._http.request("GET", f"/agent/commands?wait={wait}", seconds=limit)
        except LinkDown as down:
            self._silent += 1
            if down.silent and self._silent == 1 and not eager:
                return Batch()
            raise
        self._silent = 0
        return self._batch(answer)

    def _batch(self, answer: Answer) -> Batch:
        if answer.status == 204:
            return Batch()
        if answer.status in {401, 403}:
            self._http.token.reread()
        if answer.status != 200:
            raise unhappy(answer)
        batch = read_batch(answer.body)
        if batch is None:
            raise LinkDown(
                'HTTP 200 without a JSON object that has a list "commands": not the API\'s answer', status=200
            )
        if batch.commands:
            self._worked_at = self._now()
        return batch

    def _in_session(self) -> bool:
        worked = self._worked_at is not None and self._now() - self._worked_at < STATUS_EVERY_ACTIVE
        return self._active or worked

    async def _ask_status(self) -> None:
        every = STATUS_EVERY_ACTIVE if self._in_session() else STATUS_EVERY_IDLE
        if self._asked_at is not None and self._now() - self._asked_at < every:
            return
        self._asked_at = self._now()
        try:
            answer = await self._http.request("GET", "/agent/status", seconds=STATUS_SECONDS)
            status = json.loads(answer.body) if answer.status == 200 else None
        except (LinkDown, ValueError, RecursionError) as error:
            log.debug("session state unknown", reason=str(error))
            status = None
        self._active = isinstance(status, dict) and status.get("is_active") is True


def _segments(parcel: Parcel) -> list[Segment]:
    command_id = json_text(parcel.command_id)
    return [b'{"command_id":"', command_id, b'","result":', *result_segments(parcel), b"}"]
