"""The long-poll contract.

GET  /agent/status            {"cluster_id", "is_active", "queue_depth"}: sets the pace; its failure stops nothing
GET  /agent/commands?wait=N   200 {"commands": [...]}, at most 10, or 204; N is 1 in an active session, else up to 20
POST /agent/results           {"command_id", "result": {...}}: 200 stored; 400, 404, 409, 422 refused; 413 too large
"""

import math
from dataclasses import replace
from random import random

import trio

from agent.errors import LinkDown
from agent.link.answer import ELSEWHERE, unhappy
from agent.link.commands import Batch, read_batch
from agent.link.http import Http
from agent.link.link import Link
from agent.link.result import poll_body
from agent.log import Log

log = Log("link")

WAIT_ACTIVE, WAIT_IDLE = 1, 20  # seconds that the server may hold a poll, in an active session and without one
READ_MARGIN_SECONDS = 5  # that the answer may take longer
STATUS_SECONDS = 5.0  # for the answer to the question whether there is a session
STATUS_EVERY_ACTIVE, STATUS_EVERY_IDLE = 10.0, 60.0  # how often that is asked; an idle agent polls three times a minute
SHORTEST_CYCLE_SECONDS = 1.0  # from a poll that brought nothing to the next
HELD_AGAIN_SECONDS = 600.0  # after polls were cut off, polls of full length are tried again
CUT = frozenset({None, 408, 502, 504, 524})
"""What a load balancer answers when it ends a poll that the API still holds. Others just close."""


class PollLink(Link):
    """Long polling."""

    pulls = True
    journal, burst, pause_seconds = 4, 10, 60.0
    results = "/agent/results"
    body = staticmethod(poll_body)
    refusing = frozenset({400, 404, 405, 409, 410, 411, 414, 415, 422, 431})

    def __init__(self, http: Http) -> None:
        super().__init__(http)
        self._hold = WAIT_IDLE
        self._cuts = 0
        self._shortened_at = 0.0
        self._in_step = True
        self._active = False
        self._asked_at = self._worked_at = -math.inf

    async def receive(self, *, eager: bool) -> Batch:
        """One long poll, or a short one."""
        known = not eager and await self._ask_status()
        wait = WAIT_ACTIVE
        if not (eager or self._in_session()):
            if trio.current_time() - self._shortened_at > HELD_AGAIN_SECONDS and self._hold < WAIT_IDLE:
                self._hold, self._cuts = WAIT_IDLE, 1
            # After an outage all agents come back at once: so that they don't stay in step the next poll is shorter.
            wait = max(WAIT_ACTIVE, round(random() * self._hold)) if self._in_step else self._hold
        self._in_step = eager
        began = trio.current_time()
        batch = await self._poll(wait)
        if not batch.commands and not batch.malformed and not eager:
            # A server that doesn't hold polls must not be asked thousands of times a second.
            await trio.sleep(max(0.0, began + SHORTEST_CYCLE_SECONDS - trio.current_time()))
        return replace(batch, recognised=batch.recognised or known)

    async def recognise(self) -> bool:
        """By the status, which only the API answers so."""
        self._asked_at = trio.current_time()
        self._active = False
        answer = await self._http.request("GET", "/agent/status", seconds=STATUS_SECONDS)
        active = (answer.said or {}).get("is_active") if answer.status == 200 else None
        self._active = active is True
        return isinstance(active, bool)

    async def _poll(self, wait: int) -> Batch:
        """One poll. One that is cut off is followed at once by a short one, which tells whether the API is there."""
        began = trio.current_time()
        try:
            batch = await self._ask(wait)
        except LinkDown as down:
            if wait <= WAIT_ACTIVE or down.status not in CUT:
                raise
        else:
            if wait >= self._hold and trio.current_time() - began >= wait * 0.9:
                self._cuts = 0
            return batch
        lasted = trio.current_time() - began
        self._in_step = True
        batch = await self._ask(WAIT_ACTIVE)
        if lasted >= WAIT_ACTIVE:
            self._cuts += 1
            if self._cuts > 1:  # once may be chance
                fits = lasted * 0.8 if lasted < wait else wait / 2  # or it ended in silence
                self._hold, self._shortened_at = max(WAIT_ACTIVE, int(fits)), trio.current_time()
                log.info("polls are cut off on the way: asking for shorter ones", seconds=self._hold)
        return batch

    async def _ask(self, wait: int) -> Batch:
        answer = await self._http.request("GET", f"/agent/commands?wait={wait}", seconds=wait + READ_MARGIN_SECONDS)
        if answer.status == 204:
            return Batch(recognised=answer.after >= wait / 2)
        if answer.status != 200:
            raise unhappy(answer)
        commands = (answer.said or {}).get("commands", "none")
        if not isinstance(commands, list | None):  # Go writes null for none
            problem = 'HTTP 200 without a JSON object that has a list "commands": not the API\'s answer'
            raise LinkDown(problem, ELSEWHERE, status=200)
        batch = read_batch(commands or [])
        if batch.commands:
            self._worked_at = trio.current_time()
        return batch

    def _in_session(self) -> bool:
        return self._active or trio.current_time() - self._worked_at < STATUS_EVERY_ACTIVE

    async def _ask_status(self) -> bool:
        """Ask for the status if that is due. True if the API has just answered."""
        every = STATUS_EVERY_ACTIVE if self._in_session() else STATUS_EVERY_IDLE
        if trio.current_time() - self._asked_at < every:
            return False
        try:
            return await self.recognise()
        except LinkDown as down:
            log.debug("session state unknown", reason=down.problem)
            return False
