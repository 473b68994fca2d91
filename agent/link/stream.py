"""The stream contract, which Kubently 2.x serves.

GET  /executor/stream    Server-Sent Events: `connected`, `command`, `keepalive`, and a comment every 15 s
POST /executor/results   a flat body: 200 taken; 403 unknown or expired id; 422 bad body; 413 too large
POST /executor/capabilities   what may be run here; the API forgets it after 3,600 s without a heartbeat
POST /executor/heartbeat      200 {"status": "success"}, or "not_found": report again

Nothing depends on the last two: an API that is older than these answers 404. Events carry no ids and nothing is sent
twice: what the API sends while nobody listens is gone, though it goes on taking results for a while. So a stream that
ends is opened again at once, and one that is silent for too long counts as ended.

The stream is read by `receive` alone, and nothing is kept between two calls but the beginning of an event. While the
rest of the agent is busy the bytes wait in the kernel and then at the API, which is all the buffer there is.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import random

import trio

from agent import __version__
from agent.errors import LinkDown
from agent.link.answer import Answer, read_json
from agent.link.commands import Batch, read_batch
from agent.link.http import Http, OpenStream
from agent.link.link import Link, Reply
from agent.link.result import ReadyResult, stream_body
from agent.link.sse import Event
from agent.log import Log
from agent.model import Capabilities

log = Log("link")

SILENCE_SECONDS = 45.0  # a stream without a byte for so long is dead: three of the API's comments are missing
OPEN_SECONDS, FIRST_SECONDS = 10.0, 20.0  # for a new stream to begin; for its first event, which comes at once
TELL_SECONDS = 5.0  # for the answer to a heartbeat or a report
MAX_VERBS, MAX_RESTRICTED_TYPES, MAX_FLAGS = 50, 50, 100  # the API refuses a report with more
STEADY_SECONDS = 5.0  # a stream that lived for less isn't opened again at once, as something ends each of them
PAUSE_SECONDS = 10.0  # the longest pause then
OWN_SHARE = 0.9  # of the time that the command may run, for which the API waits, is kubectl's; the rest its answer's


class StreamLink(Link):
    """Server-Sent Events. The API is told the `capabilities` of now, if there are any."""

    pulls = False
    journal, burst, pause_seconds = 60, 0, PAUSE_SECONDS
    results = "/executor/results"
    body = staticmethod(stream_body)
    # Unknown ids are 403 here. So 404 means that something else answers in the API's place, for now.
    refusing = frozenset({400, 403, 409, 410, 411, 414, 415, 422, 431})

    def __init__(
        self, http: Http, capabilities: Callable[[], Capabilities] | None = None, heartbeat_seconds: float = 300
    ) -> None:
        super().__init__(http)
        self._capabilities = capabilities
        self._heartbeat_seconds = heartbeat_seconds
        self._connected = trio.Event()
        self._reported: Capabilities | None = None
        self._stream: OpenStream | None = None
        self._brief = 0
        self._refused = self._left_for = ""

    async def receive(self, *, eager: bool) -> Batch:  # noqa: ARG002  # it never waits for commands alone
        """Open the stream, or read on. Returns with each sign of life, so at least every 15 s while all is well."""
        stream = self._stream
        if stream is None:
            return await self._open()
        ended = self._unwanted(stream)
        if not ended:
            try:
                return self._batch(await self._read(stream, SILENCE_SECONDS))
            except LinkDown as down:
                self._check_brief(stream, down)
                ended = down.problem
        await self._close()
        batch = await self._open()
        log.info("stream opened again", reason=ended, lived_seconds=round(trio.current_time() - stream.since))
        return batch

    async def recognise(self) -> bool:
        """By a heartbeat, which only the API answers so."""
        return await self._heartbeat() in ("success", "not_found")

    async def deliver(self, ready: ReadyResult) -> Reply:
        """Send one result. After a 401 a heartbeat tells: is it the token, or does a firewall dislike this result?"""
        reply = await super().deliver(ready)
        if reply.status == 401:
            with suppress(LinkDown):
                await self._heartbeat()
        return reply

    async def run(self) -> None:
        """Tell what may be run here, and that the agent is alive: now and then, and each new stream's API at once."""
        while True:
            with trio.move_on_after(self._heartbeat_seconds):
                await self._connected.wait()
            self._connected = trio.Event()
            if self._capabilities is not None and self._stream is not None:
                with suppress(LinkDown):
                    await self._tell(self._capabilities())

    async def aclose(self) -> None:
        """Close connections."""
        await self._close()
        await super().aclose()

    async def _open(self) -> Batch:
        """Open it and wait for its first sign of life: some proxies pass on the head and hold back the rest."""
        self._stream = stream = await self._http.open_stream("/executor/stream", seconds=OPEN_SECONDS)
        events: list[Event] = []
        try:
            while not stream.parser.begun:
                events += await self._read(stream, FIRST_SECONDS)
        except LinkDown as down:
            self._check_brief(stream, down)
            raise
        self._connected.set()
        return self._batch(events)

    async def _read(self, stream: OpenStream, silence: float) -> list[Event]:
        """What comes next. If nothing does, the stream is closed, so that the sender knows at once."""
        try:
            return await stream.read(silence)
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    def _unwanted(self, stream: OpenStream) -> str:
        """Why the agent itself ends the stream, or nothing. The API goes on serving one whose token was withdrawn."""
        token = self._http.token.current()
        if token != stream.token:
            return "the token has changed"
        if token != self._refused or token == self._left_for:
            return ""
        self._left_for = token  # once: if it is taken for a stream again and not for results, more won't help
        return "the API has refused the token that it was opened with"

    def _check_brief(self, stream: OpenStream, ended: LinkDown) -> None:
        """Raise LinkDown if the stream ended too soon to open another at once."""
        if trio.current_time() - stream.since >= STEADY_SECONDS:
            self._brief = 0
            return
        pause = random() * min(PAUSE_SECONDS, float(2 ** min(self._brief, 10)))
        self._brief += 1
        problem = f"a stream ended soon after it began: {ended.problem}"
        raise LinkDown(problem, ended.hint, retry_after=pause) from ended

    def _batch(self, events: list[Event]) -> Batch:
        batch = read_batch([read_json(data or "") for name, data in events if name == "command"])
        granted = [replace(each, timeout=each.timeout and each.timeout * OWN_SHARE) for each in batch.commands]
        return replace(batch, commands=granted)

    async def _tell(self, capabilities: Capabilities) -> None:
        if capabilities == self._reported and await self._heartbeat() == "success":
            return
        self._reported = None
        answer = await self._post("/executor/capabilities", report(capabilities))
        if answer.status == 200:
            self._reported = capabilities
            log.info("capabilities reported", verbs=len(capabilities.verbs), flags=len(capabilities.flags))

    async def _heartbeat(self) -> object:
        answer = await self._post("/executor/heartbeat", {})
        return (answer.said or {}).get("status") if answer.status == 200 else None

    async def _post(self, path: str, body: dict[str, object]) -> Answer:
        written = json.dumps(body, separators=(",", ":")).encode()
        token = self._http.token.current()
        answer = await self._http.request("POST", path, seconds=TELL_SECONDS, body=written)
        if answer.status == 401:
            self._refused = token
        return answer


def report(capabilities: Capabilities) -> dict[str, object]:
    """The body of a report, within the API's bounds. It has no field for tools: log_search runs where `get` and `logs`
    do. Without `cloud`, the API's model is told that there is none before it asks.
    """
    return {
        "mode": "readOnly",
        "allowed_verbs": capabilities.verbs[:MAX_VERBS],
        "restricted_resources": capabilities.restricted_types[:MAX_RESTRICTED_TYPES],
        "allowed_flags": capabilities.flags[:MAX_FLAGS],
        "executor_version": __version__,
        "executor_pod": os.uname().nodename,
    }
