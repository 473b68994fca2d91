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
                status = await self._tell(self._capabilities())
            except LinkDown:
                status = 0
            if status == 404:
                self._reported = None
            elif status != 200:
                log.debug("capabilities not reported", status=status)
            pause = {200: self._every_seconds, 404: math.inf}.get(status, RETRY_SECONDS)

    async def _tell(self, capabilities: Capabilities) -> int:
        """Report or send a heartbeat; return the answer's status."""
        if capabilities == self._reported:
            answer = await self._http.request("POST", "/executor/heartbeat", seconds=REQUEST_SECONDS, body=b"{}")
            if answer.status != 200 or (answer.said or {}).get("status") != "not_found":
                return answer.status
            log.info("the API has forgotten this agent's capabilities")
        self._reported = None
        body = json.dumps(report(capabilities), separators=(",", ":")).encode()
        answer = await self._http.request("POST", "/executor/capabilities", seconds=REQUEST_SECONDS, body=body)
        if answer.status == 200:
            self._reported = capabilities
            log.info("capabilities reported", verbs=len(capabilities.verbs), flags=len(capabilities.flags))
        return answer.status


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
