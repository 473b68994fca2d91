"""Tells the API what may be run here, and that the agent is alive. Nothing depends on it: the API does without.

POST /executor/capabilities   the report; the API forgets it after 3,600 s without a heartbeat
POST /executor/heartbeat      200 {"status": "success"}, or "not_found": report again
404 for either                the API is older than these; it isn't asked again until the next stream
"""

import json
import math
import os
from collections.abc import Callable

import trio

from agent import __version__
from agent.errors import LinkDown
from agent.link.http import Http
from agent.log import Log
from agent.model import Capabilities

log = Log("link")

MAX_VERBS, MAX_RESTRICTED_TYPES, MAX_FLAGS = 50, 50, 100
MAX_VERSION_CHARS, MAX_POD_CHARS = 50, 253
"""The API refuses a report with more."""

REQUEST_SECONDS = 10.0
RETRY_SECONDS = 30.0
"""How soon a report or a heartbeat that failed is tried again."""


class Reporter:
    """The task that reports.

    Args:
        http: the client.
        capabilities: what the policy allows now; asked anew each time, for the policy's file may change.
        every_seconds: the time between two heartbeats.
    """

    def __init__(self, http: Http, capabilities: Callable[[], Capabilities], every_seconds: float) -> None:
        self._http = http
        self._capabilities = capabilities
        self._every_seconds = every_seconds
        self._connected = trio.Event()
        self._reported: Capabilities | None = None
        self.refused: Callable[[str], None] = lambda _: None
        """Is called with a token that the API doesn't take any more."""

    def connected(self) -> None:
        """A stream has been opened: the API may be another one than before, so tell it without delay."""
        self._connected.set()

    async def run(self) -> None:
        """Report, for ever."""
        pause = math.inf
        while True:
            with trio.move_on_after(pause):
                await self._connected.wait()
            self._connected = trio.Event()
            try:
                pause = await self._tell()
            except LinkDown as down:
                log.debug("capabilities not reported", reason=down.problem)
                pause = RETRY_SECONDS

    async def _tell(self) -> float:
        """Report or send a heartbeat; return in how many seconds to come back."""
        capabilities = self._capabilities()
        if capabilities == self._reported:
            status, answer = await self._post("/executor/heartbeat", {})
            if status != 200 or answer != "not_found":
                return self._pause(status)
            log.info("the API has forgotten this agent's capabilities")
        self._reported = None
        status, _ = await self._post("/executor/capabilities", report(capabilities))
        if status == 200:
            self._reported = capabilities
            log.info("capabilities reported", verbs=len(capabilities.verbs), flags=len(capabilities.flags))
        return self._pause(status)

    def _pause(self, status: int) -> float:
        if status == 200:
            return self._every_seconds
        if status == 404:
            self._reported = None
            return math.inf
        log.debug("capabilities not reported", status=status)
        return RETRY_SECONDS

    async def _post(self, path: str, body: dict[str, object]) -> tuple[int, str | None]:
        """The HTTP status, and the word that the answer gives as its own status."""
        token = self._http.token.current()
        answer = await self._http.request(
            "POST", path, seconds=REQUEST_SECONDS, body=json.dumps(body, separators=(",", ":")).encode()
        )
        if answer.status == 401:
            self._http.token.reread()
            self.refused(token)
        try:
            told = json.loads(answer.body)
        except (ValueError, RecursionError):
            return answer.status, None
        word = told.get("status") if isinstance(told, dict) else None
        return answer.status, word if isinstance(word, str) else None


def report(capabilities: Capabilities) -> dict[str, object]:
    """The body of a report, within the API's bounds. It has no field for tools: log_search runs where `get` and `logs`
    do. Without `cloud`, the API's model is told that there is none before it asks.
    """
    return {
        "mode": "readOnly",
        "allowed_verbs": capabilities.verbs[:MAX_VERBS],
        "restricted_resources": capabilities.restricted_types[:MAX_RESTRICTED_TYPES],
        "allowed_flags": capabilities.flags[:MAX_FLAGS],
        "executor_version": __version__[:MAX_VERSION_CHARS],
        "executor_pod": os.uname().nodename[:MAX_POD_CHARS],
    }
