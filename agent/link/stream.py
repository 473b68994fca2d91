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
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import trio

from agent.errors import LinkDown
from agent.link.body import Body, Segment, reply, result_segments, trace_headers
from agent.link.capabilities import Reporter
from agent.link.commands import as_batch, read_command
from agent.link.contract import Batch, Parcel, Reply, Verdict
from agent.link.http import Http, OpenStream
from agent.link.sse import Event, EventParser
from agent.log import Log
from agent.model import Command, Malformed

log = Log("link")

SILENCE_SECONDS = 45.0
"""A stream without a byte for so long is dead: three of the API's comments are missing."""

OPEN_SECONDS = 10.0
"""How long the answer to a new stream may take to begin."""

STEADY_SECONDS = 5.0
"""A stream that lived shorter isn't opened again at once: something ends them as they come."""

PAUSE_SECONDS = 10.0

ANSWER_SECONDS = 1.0
"""The API waits as long as it lets the command run, and no longer. So a command is ended this much earlier: what it had
printed is read by somebody then."""

SHORT_SECONDS = 5.0
"""A command that may run no longer than this needs all of it."""

REFUSING = frozenset({400, 403, 409, 410, 411, 414, 415, 422, 431})
"""Statuses that mean this one result, for good. 404 isn't among them: unknown ids are 403 here, so it means that
something else answers in the API's place, and that passes."""


@dataclass
class _Listening:
    """One stream."""

    stream: OpenStream
    token: str
    since: float
    parser: EventParser = field(default_factory=EventParser)
    reading: trio.CancelScope = field(default_factory=trio.CancelScope)
    unwanted: str | None = None
    """Why the agent itself wants it to end."""


class StreamLink:
    """Server-Sent Events.

    Args:
        http: the client.
        reporter: tells the API what may be run here; None for a link that doesn't.
        now: a monotonic clock, in seconds.
        random: uniform draws from [0, 1).
    """

    holds = False
    journal = 60
    burst = 0
    pause_seconds = PAUSE_SECONDS

    def __init__(
        self, http: Http, reporter: Reporter | None, *, now: Callable[[], float], random: Callable[[], float]
    ) -> None:
        self._http = http
        self._reporter = reporter
        self._now = now
        self._random = random
        self._listening: _Listening | None = None
        self._brief = 0
        self._doubted: str | None = None
        if reporter is not None:
            reporter.refused = self._doubt

    async def receive(self, *, eager: bool) -> Batch:  # noqa: ARG002  # it never waits for commands alone
        """Open the stream, or read on. Returns with each sign of life, so at least every 15 s while all is well."""
        if self._listening is None:
            await self._open()
            return Batch()
        listening = self._listening
        try:
            return _batch(listening.parser.feed(await self._read(listening)))
        except trio.Cancelled:
            await self._close()  # whoever sends to it now should know at once that nobody listens
            raise
        except LinkDown as ended:
            await self._close()
            self._check_brief(listening, ended)
            await self._open()
            log.info(
                "stream opened again",
                reason=ended.problem,
                lived_seconds=round(self._now() - listening.since),
            )
            return Batch()

    async def deliver(self, parcel: Parcel) -> Reply:
        """Send one result."""
        try:
            token = self._http.token.current()
            answer = await Body(parcel, _segments(parcel)).post(self._http, "/executor/results", trace_headers(parcel))
        except LinkDown as down:
            return Reply(Verdict.LATER, down.status, down.problem, down.retry_after)
        if answer.status == 401:
            self._http.token.reread()
            self._doubt(token)
        return reply(answer, REFUSING)

    async def run(self) -> None:
        """Report what may be run here."""
        if self._reporter is not None:
            await self._reporter.run()
        await trio.sleep_forever()

    def abandon(self) -> None:
        """Give up answers that have begun."""
        self._http.abandon()

    async def aclose(self) -> None:
        """Close connections."""
        await self._close()
        await self._http.aclose()

    async def _open(self) -> None:
        token = self._http.token.current()
        try:
            stream = await self._http.open_stream(
                "/executor/stream", media_type="text/event-stream", seconds=OPEN_SECONDS
            )
        except LinkDown as down:
            if down.refused:
                self._http.token.reread()
            raise
        self._listening = _Listening(stream, token, self._now())
        if self._reporter is not None:
            self._reporter.connected()

    async def _close(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stream.aclose()

    async def _read(self, listening: _Listening) -> bytes:
        """The next bytes.

        Raises:
            LinkDown: there won't be any.
        """
        if self._http.token.current() != listening.token:
            listening.unwanted = "the token has changed"
        if listening.unwanted is None:
            with trio.move_on_after(SILENCE_SECONDS) as listening.reading:
                chunk = await listening.stream.read()
                if chunk is None:
                    raise LinkDown("the API has ended the stream")
                return chunk
        raise LinkDown(listening.unwanted or f"nothing came for {SILENCE_SECONDS:g} s", silent=True)

    def _check_brief(self, listening: _Listening, ended: LinkDown) -> None:
        """Raise LinkDown if the stream ended too soon to open another at once."""
        if listening.unwanted or self._now() - listening.since >= STEADY_SECONDS:
            self._brief = 0
            return
        pause = self._random() * min(PAUSE_SECONDS, float(2 ** min(self._brief, 10)))
        self._brief += 1
        raise LinkDown(f"a stream ended soon after it began: {ended.problem}", retry_after=pause) from ended

    def _doubt(self, token: str) -> None:
        """End the stream that was opened with a token which isn't taken any more: the API itself goes on serving it.

        Once for each token. If the API takes it for a stream again and not for results, ending more streams won't help.
        """
        listening = self._listening
        if listening is not None and token == listening.token != self._doubted:
            self._doubted = token
            listening.unwanted = "the API has refused the token that it was opened with"
            listening.reading.cancel()


def _batch(events: list[Event]) -> Batch:
    return as_batch(_command(event) for event in events if event.name == "command")


def _command(event: Event) -> Command | Malformed | None:
    if event.data is None:
        return None
    try:
        command = read_command(json.loads(event.data))
    except (ValueError, RecursionError):
        return None
    if isinstance(command, Command) and command.timeout is not None and command.timeout > SHORT_SECONDS:
        return replace(command, timeout=command.timeout - ANSWER_SECONDS)
    return command


def _segments(parcel: Parcel) -> list[Segment]:
    first = {"command_id": parcel.command_id}
    if parcel.executed_at is not None:
        first["executed_at"] = datetime.fromtimestamp(parcel.executed_at, UTC).isoformat(timespec="milliseconds")
    # Kubently's own tool shows its model `output` and nothing else (execute_kubectl, 2.x).
    return result_segments(parcel, all_in_output=True, **first)
