"""The stream contract, which Kubently 2.x serves.

GET  /executor/stream    Server-Sent Events: `connected`, `command`, `keepalive`, and a comment every 15 s
POST /executor/results   a flat body: 200 taken; 403 unknown or expired id; 422 bad body; 413 too large
POST /executor/capabilities, /executor/heartbeat   see `agent.link.capabilities`

Events carry no ids and nothing is sent twice: what the API sends while nobody listens is gone, though it goes on taking
results for a while. So a stream that ends is opened again at once, and one that is silent for too long counts as ended.

The stream is read by `receive` alone, and nothing is kept between two calls but the beginning of an event. While the
rest of the agent is busy the bytes wait in the kernel and then at the API, which is all the buffer there is.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from agent.errors import LinkDown
from agent.link.capabilities import Reporter
from agent.link.commands import as_batch
from agent.link.contract import Batch, ReadyResult, Reply
from agent.link.http import Http, OpenStream
from agent.link.link import Link
from agent.link.result import stream_body
from agent.link.sse import Event, EventParser
from agent.log import Log

log = Log("link")

SILENCE_SECONDS = 45.0
"""A stream without a byte for so long is dead: three of the API's comments are missing."""

OPEN_SECONDS = 10.0
"""How long the answer to a new stream may take to begin."""

RECOGNISE_SECONDS = 5.0
"""How long the answer to a heartbeat may take that asks whether the API is there."""

STEADY_SECONDS = 5.0
"""A stream that lived shorter isn't opened again at once: something ends them as they come."""

PAUSE_SECONDS = 10.0

FIRST_SECONDS = 20.0
"""How long a stream may be silent at its beginning. Its first event comes at once, its first comment after 15 s."""

LEAST_SHARE = 0.8
"""The API waits for as long as it lets a command run, and no longer: so a command has the time that it was given, less
what the last answers needed to travel, but at least this share of it."""

TRAVEL_SECONDS = 0.3
"""What is thought that an answer needs until one was measured."""


@dataclass(slots=True)
class _Listening:
    """One stream. `wanted` is false once the agent itself ends it."""

    stream: OpenStream
    token: str
    since: float
    parser: EventParser = field(default_factory=EventParser)
    wanted: bool = True


class StreamLink(Link):
    """Server-Sent Events.

    Args:
        http: the client.
        reporter: tells the API what may be run here; None for a link that doesn't.
        now: a monotonic clock, in seconds.
        random: uniform draws from [0, 1).
    """

    pulls = False
    journal = 60
    burst = 0
    pause_seconds = PAUSE_SECONDS
    results = "/executor/results"
    refusing = frozenset({400, 403, 409, 410, 411, 414, 415, 422, 431})
    """404 isn't among them: unknown ids are 403 here, so it means that something else answers in the API's place, and
    that passes."""

    def __init__(
        self, http: Http, reporter: Reporter | None, *, now: Callable[[], float], random: Callable[[], float]
    ) -> None:
        super().__init__(http)
        self._reporter = reporter
        self._now = now
        self._random = random
        self._listening: _Listening | None = None
        self._brief = 0
        self._left_for = ""
        self._travel = TRAVEL_SECONDS

    async def receive(self, *, eager: bool) -> Batch:  # noqa: ARG002  # it never waits for commands alone
        """Open the stream, or read on. Returns with each sign of life, so at least every 15 s while all is well."""
        listening = self._listening
        if listening is None:
            return await self._open()
        try:
            return self._batch(await self._read(listening, SILENCE_SECONDS))
        except trio.Cancelled:
            await self._close()  # whoever sends to it now should know at once that nobody listens
            raise
        except LinkDown as ended:
            await self._close()
            self._check_brief(listening, ended)
            batch = await self._open()
            lived = round(self._now() - listening.since)
            log.info("stream opened again", reason=ended.problem, lived_seconds=lived)
            return batch

    async def recognise(self) -> bool:
        """Whether a heartbeat is answered as only the API does."""
        try:
            answer = await self._http.request("POST", "/executor/heartbeat", seconds=RECOGNISE_SECONDS, body=b"{}")
        except LinkDown as down:
            if down.status is None:
                raise
            return False
        return answer.status == 200 and (answer.said or {}).get("status") in ("success", "not_found")

    async def body(self, ready: ReadyResult) -> dict[str, Any]:
        """A result as the contract has it."""
        return await stream_body(ready, time.time())

    async def deliver(self, ready: ReadyResult) -> Reply:
        """Send one result, and remember how long that took."""
        began = self._now()
        reply = await super().deliver(ready)
        if reply.status is not None:
            self._travel = max(self._now() - began, self._travel * 0.9)  # one slow one is remembered for a while
        return reply

    async def run(self) -> None:
        """Report what may be run here."""
        if self._reporter is not None:
            await self._reporter.run()
        await trio.sleep_forever()

    async def aclose(self) -> None:
        """Close connections."""
        await self._close()
        await super().aclose()

    async def _open(self) -> Batch:
        """Open it and wait for its first sign of life: many a proxy passes on the head, and holds back the rest."""
        token = self._http.token.current()
        stream = await self._http.open_stream("/executor/stream", media_type="text/event-stream", seconds=OPEN_SECONDS)
        self._listening = listening = _Listening(stream, token, self._now())
        events: list[Event] = []
        try:
            while not listening.parser.begun:
                events += await self._read(listening, FIRST_SECONDS)
        except trio.Cancelled:
            await self._close()
            raise
        except LinkDown as down:
            await self._close()
            if down.silent:
                raise LinkDown(
                    f"the stream began, and then nothing came for {FIRST_SECONDS:g} s",
                    "Something between here and the API buffers it: a proxy or an ingress. Switch that off for "
                    "/executor/stream (nginx: proxy_buffering off).",
                ) from down
            self._check_brief(listening, down)
            raise
        if self._reporter is not None:
            self._reporter.connected()
        return self._batch(events)

    async def _close(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stream.aclose()

    async def _read(self, listening: _Listening, silence: float) -> list[Event]:
        """What comes next.

        Raises:
            LinkDown: the stream has ended, or is to be ended.
        """
        token = self._http.token.current()
        listening.wanted = False
        if token != listening.token:
            raise LinkDown("the token has changed")
        if token == self._http.refused != self._left_for:
            # The API itself goes on serving a stream whose token was withdrawn. Once for each token: if it takes it for
            # a stream again and not for results, ending more streams won't help.
            self._left_for = token
            raise LinkDown("the API has refused the token that it was opened with")
        listening.wanted = True
        with trio.move_on_after(silence):
            chunk = await listening.stream.read()
            if chunk is None:
                raise LinkDown("the API has ended the stream")
            return listening.parser.feed(chunk)
        raise LinkDown(f"nothing came for {silence:g} s", silent=True)

    def _check_brief(self, listening: _Listening, ended: LinkDown) -> None:
        """Raise LinkDown if the stream ended too soon to open another at once."""
        if not listening.wanted or self._now() - listening.since >= STEADY_SECONDS:
            self._brief = 0
            return
        pause = self._random() * min(PAUSE_SECONDS, float(2 ** min(self._brief, 10)))
        self._brief += 1
        raise LinkDown(f"a stream ended soon after it began: {ended.problem}", retry_after=pause) from ended

    def _batch(self, events: list[Event]) -> Batch:
        batch = as_batch([_json(event.data) for event in events if event.name == "command"])
        granted = [
            replace(c, timeout=max(c.timeout * LEAST_SHARE, c.timeout - self._travel)) if c.timeout else c
            for c in batch.commands
        ]
        return replace(batch, commands=granted)


def _json(data: str | None) -> object:
    try:
        return json.loads(data or "")
    except (ValueError, RecursionError):
        return None
