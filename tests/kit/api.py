"""The reference API on a socket of its own: it misbehaves when it is told to, and notes every byte and moment.

    async with fake_api() as api:
        api.plan("results", faults.html(502), times=2)
        known = api.queue("echo-hello")
        await known.answered.wait()

What is asked and answered is the reference API's own code (`demo/`). Only the way there is different: bare sockets, so
that a fault may write what it likes. What is asked for while no stream is open waits for the next one; the real server
would forget it. `again_seconds` after it was handed out a command without a result is handed out again: what an answer
held that a kill has swallowed is the API's to hand out again.
"""

import contextlib
import json
import math
import random
import re
import socket
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio
from starlette.types import Message

from demo.api import BOTH, ReferenceApi
from demo.record import Answer as Stored
from demo.record import Asked, LinkName
from demo.routes import app_of
from tests.kit.faults import CONNECTED, Exchange, Fault, event
from tests.kit.wire import Answer, Connection, Gone, Request

ROUTES = {
    "/agent/commands": "commands",
    "/agent/results": "results",
    "/agent/status": "status",
    "/executor/stream": "commands",
    "/executor/results": "results",
    "/executor/capabilities": "status",
    "/executor/heartbeat": "status",
}
STREAM = "/executor/stream"
PER_POLL = 10
SERVER_PORTS = (12_000, 32_000)
HANG_SECONDS = 60.0
"""How long a fault may hold a connection. An agent gives up long before."""
SEND_SECONDS = 5.0
KEPT_BYTES = 64 * 1024
"""So much is kept of a result that is only weighed."""
_ID = re.compile(rb'"command_id"\s*:\s*"([^"]+)"')


@dataclass(slots=True)
class Known(Asked):
    """One command, and what a test wants to know of it. Moments are `time.perf_counter()`, one clock for all."""

    expected: Callable[[dict[str, Any]], bool] | None = None
    """Whether a result is what this command prints; None if anything will do."""
    rejected: bool = False
    """Its result was refused for good at least once."""
    published_at: float = math.inf
    """The last time that it was put on its way."""
    runs_seen: int | None = None
    """`FakeApi.mark()` when the first result was stored."""
    left_at: float = 0.0
    """When the answer with it was sent."""
    arrived_at: float = 0.0
    """When the last byte of its result was here."""
    body_bytes: int = 0

    @property
    def results(self) -> list[dict[str, Any]]:
        """As stored, in the order of arrival."""
        return [answer.result for answer in self.answers]


@dataclass(slots=True)
class Seen:
    """One request and its answer, in bytes as they were on the socket."""

    at: float
    path: str
    whole_at: float = 0.0
    """When the request was read to its end."""
    sent_bytes: int = 0
    """By the agent."""
    answered_bytes: int = 0
    status: int = 0
    commands: list[Known] = field(default_factory=list)
    """Handed out by it."""


_SEEN: ContextVar[Seen] = ContextVar("seen")


class FakeApi(ReferenceApi):
    """Made by `fake_api`. Times are in seconds."""

    def __init__(self, links: Collection[LinkName], folder: Path, again_seconds: float, *, weighs: bool) -> None:
        super().__init__(
            token="fake-token-0123456789abcdef", cluster_id="sample", links=links, folder=folder, app=app_of
        )
        self.again_seconds = again_seconds
        self.chance: Callable[[str], Fault | None] = lambda route: None
        """Draws a fault for a request to "commands", "results" or "status" if none is planned."""
        self.mark: Callable[[], int] = lambda: 0
        """How much the stand-in kubectl has noted so far."""
        self.faults = 0
        self.surprises: list[str] = []
        """Results that nobody asked for."""
        self.exchanges: deque[Seen] = deque(maxlen=200_000)
        self.weighed = 0
        """Results that were only weighed."""
        self._weighs = weighs
        self._app = app_of(self)
        self._planned: dict[str, deque[Fault]] = {route: deque() for route in set(ROUTES.values())}
        self._parked = trio.Event()
        self._streams: set[Connection] = set()
        self._mute: set[Connection] = set()
        self._port = 0
        self._socket: trio.socket.SocketType | socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._serving = trio.CancelScope()
        self._nursery: trio.Nursery

    @property
    def url(self) -> str:
        """KUBENTLY_API_URL for an agent."""
        return f"http://127.0.0.1:{self._port}"

    # What tests do.

    def queue(
        self,
        what: str | list[Any],
        *,
        command_id: str | None = None,
        expected: Callable[[dict[str, Any]], bool] | None = None,
        **fields: Any,
    ) -> Known:
        """Put a command on its way: `get pods WHAT`, or arguments as they are."""
        args = what if isinstance(what, list) else ["get", "pods", what]
        command_id = command_id or f"{len(self.record):08d}-4d2a-4f6b-9c3e-000000000000"
        known = self.know(command_id, {"id": command_id, "args": args, **fields}, expected)
        self._publish(known)
        return known

    def know(self, command_id: str, command: dict[str, Any], expected: Any = None) -> Known:
        """Take results for this command, which somebody else hands out."""
        known = Known(command_id, command, trio.current_time(), expected=expected)
        self.record.add(known)
        return known

    @property
    def known(self) -> list[Known]:
        """All commands that left at least once, whether or not they arrived."""
        return [each for each in self.record.handed_out if isinstance(each, Known)]

    @property
    def open(self) -> list[Known]:
        """Those of them without a result."""
        return [known for known in self.known if not known.answered.is_set()]

    def hand_out(self, *known: Asked) -> None:
        """Put these on their way, whether or not they were before."""
        for each in known:
            self._publish(each)

    def shuffle(self, chance: random.Random) -> None:
        """Reorder what waits."""
        chance.shuffle(self._queue)

    async def until_fewer_wait_than(self, most: int) -> None:
        """Until fewer commands than that wait to be handed out."""
        while self.queue_depth + max((s.statistics().current_buffer_used for s in self.listeners), default=0) >= most:
            await trio.sleep(0.1)  # polls come several times a second

    async def parked(self) -> None:
        """Until a poll waits here."""
        await self._parked.wait()

    def plan(self, route: str, fault: Fault, times: int = 1) -> None:
        """Let the next requests on this route meet `fault`."""
        self._planned[route].extend([fault] * times)

    @property
    def planned(self) -> int:
        """Faults that nobody has met yet."""
        return sum(map(len, self._planned.values()))

    def drop_streams(self) -> None:
        """Reset them all."""
        self.listeners.clear()
        for connection in self._streams:
            connection.abort()

    def mute_streams(self) -> None:
        """Cut the way half-way: they stay open, and carry neither a byte nor an end."""
        self._mute |= self._streams

    # Being there, or not.

    def listen(self, backlog: int = 100) -> None:
        """Be there, on the same port as ever."""
        self.refuse()
        bound = _bound(self._port)
        bound.listen(backlog)
        self._port = bound.getsockname()[1]
        bound.setblocking(False)
        self._socket = trio.socket.from_stdlib_socket(bound)
        self._serving = trio.CancelScope()
        self._nursery.start_soon(self._serve, trio.SocketListener(self._socket), self._serving)

    def refuse(self) -> None:
        """Go away: connections end, new ones are refused."""
        self._serving.cancel()
        for each in (self._socket, *self._fillers):
            if each is not None:
                each.close()
        self._socket = None
        self._fillers.clear()

    def stall(self) -> None:
        """Listen, but accept nobody, with a backlog that is full: connecting hangs."""
        self.refuse()
        self._socket = _bound(self._port)
        self._socket.listen(0)  # the kernel keeps one connection waiting all the same
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self._port))
            self._fillers.append(filler)

    # What the reference API does, noted.

    def _publish(self, asked: Asked) -> None:
        if isinstance(asked, Known):
            asked.published_at = trio.current_time()
        if self.listeners:
            super()._publish(asked)
        else:
            self._queue.append(asked)
            self._queued.set()
            self._queued = trio.Event()

    async def wait_for_queue(self) -> None:
        """Until a command waits for a poll."""
        self._parked.set()
        await super().wait_for_queue()
        self._parked = trio.Event()

    def handed_out(self, asked: Asked, link: LinkName) -> None:
        """Note that a command goes out now."""
        super().handed_out(asked, link)
        if isinstance(asked, Known):
            asked.published_at, asked.left_at = trio.current_time(), time.perf_counter()
            if seen := _SEEN.get(None):
                seen.commands.append(asked)

    def store(self, command_id: str, answer: Stored) -> bool:
        """Take a result; False when nobody asked for it."""
        if command_id not in self.record or not isinstance(known := self.record[command_id], Known):
            self.surprises.append(f"{command_id}: {str(answer.result)[:200]}")
            return False
        if known.runs_seen is None:
            known.runs_seen = self.mark()
        seen = _SEEN.get(None)
        known.arrived_at, known.body_bytes = seen.whole_at if seen else 0.0, answer.body.bytes
        return super().store(command_id, answer)

    # The server.

    async def _serve(self, listener: trio.SocketListener, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                while True:
                    try:
                        stream = await listener.accept()
                    except trio.ClosedResourceError:
                        return
                    nursery.start_soon(self._converse, stream)

    async def _converse(self, stream: trio.SocketStream) -> None:
        connection = Connection(stream)
        try:
            async with stream:
                while True:
                    await self._exchange(connection)
                    if not await connection.next():
                        return
        except* (Gone, trio.ClosedResourceError, trio.BrokenResourceError):
            pass

    async def _exchange(self, connection: Connection) -> None:
        received, sent = connection.received_bytes, connection.sent_bytes
        request = await connection.request()
        seen = Seen(time.perf_counter(), request.path)
        _SEEN.set(seen)
        self.exchanges.append(seen)
        try:
            await self._meet(connection, request, seen)
        finally:
            seen.sent_bytes = connection.received_bytes - received
            seen.answered_bytes = connection.sent_bytes - sent

    async def _meet(self, connection: Connection, request: Request, seen: Seen) -> None:
        route = ROUTES.get(request.path)
        exchange = Exchange(connection, request, partial(self._proceed, request), self._reject)
        planned = self._planned.get(route or "")
        fault = planned.popleft() if planned else self.chance(route) if route else None
        if fault is not None:
            self.faults += 1
            with trio.move_on_after(HANG_SECONDS):
                await fault(exchange)
            return
        if request.path == STREAM:
            await self._stream(connection, request)
            return
        if self._weighs and route == "results":
            answer = await self._weigh(connection, seen)
        else:
            body = await connection.body()
            seen.whole_at = time.perf_counter()
            answer = await self._through(connection, request, body)
        seen.status = answer.status
        for known in seen.commands:
            known.left_at = time.perf_counter()
        await connection.answer(answer)

    async def _weigh(self, connection: Connection, seen: Seen) -> Answer:
        """Of this result only its size, its beginning and its end in time: what reading it takes isn't the agent's."""
        beginning, length = b"", 0
        while chunk := await connection.chunk():
            length += len(chunk)
            if len(beginning) < KEPT_BYTES:
                beginning += chunk
        seen.whole_at = time.perf_counter()
        self.weighed += 1
        found = _ID.search(beginning)
        if found is not None and (command_id := found[1].decode()) in self.record:
            known = self.record[command_id]
            assert isinstance(known, Known)
            assert b'"success":true' in beginning.replace(b'": ', b'":'), beginning[:300]
            known.arrived_at, known.body_bytes = seen.whole_at, length
            known.answered.set()
        return Answer.json({"status": "accepted"})

    async def _proceed(self, request: Request, body: bytes) -> Answer:
        """What the API does and would answer."""
        _SEEN.get().whole_at = time.perf_counter()
        if request.path == STREAM:
            events = [event(json.dumps(asked.command).encode()) for asked in self.take(PER_POLL)]
            return Answer(200, CONNECTED + b"".join(events), {"content-type": "text/event-stream"})
        return await self._through(None, request, body)

    async def _through(self, connection: Connection | None, request: Request, body: bytes) -> Answer:
        """The reference API's answer. A `connection` is watched meanwhile: a poll that is gone takes nothing."""
        status, headers, answer = 500, {}, bytearray()
        unread = deque([body])

        async def receive() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.popleft(), "more_body": False}
            await (connection.left() if connection else trio.sleep_forever())
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {name.decode(): value.decode() for name, value in message["headers"]}
            answer.extend(message.get("body", b""))

        await self._app(_scope(request), receive, send)
        headers.pop("content-length", None)
        if status == 499:  # nobody reads it
            raise Gone
        return Answer(status, bytes(answer), headers)

    async def _stream(self, connection: Connection, request: Request) -> None:
        """Be a stream until the agent leaves it; first come those that wait."""
        await connection.body()
        status = 0

        async def receive() -> Message:
            await connection.left()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status
            data = message.get("body", b"")
            if message["type"] == "http.response.start":
                status = message["status"]
                lines = [f"HTTP/1.1 {status} Whatever", "connection: close"]
                lines += [f"{name.decode()}: {value.decode()}" for name, value in message["headers"]]
                data = ("\r\n".join(lines) + "\r\n\r\n").encode()
            if connection not in self._mute:
                # Whoever is gone is noticed by `receive`: in here an error would leave the events' generator open.
                with trio.CancelScope(shield=True), trio.move_on_after(SEND_SECONDS), contextlib.suppress(Gone):
                    await connection.send(data)
            if message["type"] != "http.response.start" and status == 200 and connection not in self._streams:
                self._streams.add(connection)
                while self._queue:
                    self._publish(self._queue.popleft())

        try:
            await self._app(_scope(request), receive, send)
        finally:
            self._streams.discard(connection)
            self._mute.discard(connection)

    def _reject(self, body: bytes) -> None:
        """Note that the result in this body was refused for good."""
        known = self.record[json.loads(body)["command_id"]]
        if isinstance(known, Known):
            known.rejected = True

    async def _hand_out_again(self) -> None:
        while True:
            await trio.sleep(self.again_seconds / 4)
            late = trio.current_time() - self.again_seconds
            for known in list(self.record):
                lost = isinstance(known, Known) and not known.rejected and known.published_at < late
                if lost and not known.answered.is_set() and known not in self._queue:
                    self._publish(known)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeApi"]:
        """Serve while the body runs."""
        async with trio.open_nursery() as self._nursery:
            self.listen()
            self._nursery.start_soon(self._hand_out_again)
            yield self
            self.refuse()
            self._nursery.cancel_scope.cancel()


def _scope(request: Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},  # 2.4 would have streams notice an end by an error alone
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in request.headers.items()],
        "client": None,
        "server": None,
    }


def _bound(port: int) -> socket.socket:
    """A socket at this port; at one that is free if it is 0.

    Never at one that the kernel gives to clients: while the API is away, somebody else's connection could have it.
    Even the agent's: whoever dials such a port again and again is connected to himself some day.
    """
    while True:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", port or random.randrange(*SERVER_PORTS)))
        except OSError:
            bound.close()
            if port:
                raise
        else:
            return bound


@asynccontextmanager
async def fake_api(
    links: Collection[LinkName] = BOTH, *, again_seconds: float = math.inf, weighs: bool = False
) -> AsyncIterator[FakeApi]:
    """A running API on a port of its own. `weighs`: results aren't read but measured, as a benchmark wants it."""
    with tempfile.TemporaryDirectory(prefix="kubently-api-") as folder:
        api = FakeApi(links, Path(folder), again_seconds, weighs=weighs)
        try:
            async with api.running():
                yield api
        finally:
            for asked in api.record:
                for answer in asked.answers:
                    answer.body.close()
