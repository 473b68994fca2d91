"""A central API that misbehaves when it is told to.

    async with fault_api() as api:
        api.plan("results", faults.html(502), times=2)
        known = api.ask("echo-hello")
        await known.stored.wait()

It speaks the long-poll contract (/agent/…) and the event stream (/executor/…). Commands without a result are handed out
again after `again_seconds`: what an answer held that a kill has swallowed is the API's to hand out again.
"""

import json
import math
import random
import socket
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from tests.chaos.faults import Exchange, Fault
from tests.chaos.record import Known, Record
from tests.chaos.streams import CONNECTED, Streams, command_event
from tests.chaos.wire import Answer, Connection, Gone, Request

ROUTES = {
    "/agent/commands": "commands",
    "/agent/results": "results",
    "/agent/status": "status",
    "/executor/stream": "commands",
    "/executor/results": "results",
    "/executor/capabilities": "status",
    "/executor/heartbeat": "status",
}

PER_POLL = 10

SERVER_PORTS = (12_000, 32_000)

HANG_SECONDS = 60.0
"""How long a fault may hold a connection. An agent gives up long before."""


class FaultApi:
    """The API. Times are in seconds."""

    def __init__(self, record: Record, again_seconds: float) -> None:
        self.record = record
        self.again_seconds = again_seconds
        self.token = "chaos-token"
        self.cluster_id = "chaos"
        self.max_body_bytes = math.inf
        """A larger result is answered with 413."""
        self.hold_seconds = 20.0
        """The longest that a poll is held, whatever it asks for."""
        self.chance: Callable[[str], Fault | None] = lambda route: None
        """Draws a fault for a request to "commands", "results" or "status" if none is planned."""
        self.faults = 0
        self.requests: deque[tuple[float, str, Request]] = deque(maxlen=200_000)
        self.streams = Streams()
        self._planned: dict[str, deque[Fault]] = {route: deque() for route in set(ROUTES.values())}
        self._queue: deque[Known] = deque()
        self._queued = trio.Event()
        self._port = 0
        self._socket: trio.socket.SocketType | socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._serving = trio.CancelScope()
        self._nursery: trio.Nursery

    @property
    def url(self) -> str:
        """KUBENTLY_API_URL for an agent."""
        return f"http://127.0.0.1:{self._port}"

    # What tests and storms do.

    def ask(
        self,
        what: str | list[Any],
        *,
        command_id: str | None = None,
        expected: Callable[[dict[str, Any]], bool] | None = None,
        **fields: Any,
    ) -> Known:
        """Put a command on its way: `get pods WHAT`, or arguments as they are."""
        args = what if isinstance(what, list) else ["get", "pods", what]
        command_id = command_id or str(uuid.uuid4())
        known = Known(command_id, {"id": command_id, "args": args, **fields}, expected)
        self.record.add(known)
        self.hand_out(known)
        return known

    def hand_out(self, *known: Known) -> None:
        """Queue these, whether or not they were handed out before."""
        self._queue.extend(each for each in known if not self.streams.push(each))
        self._queued.set()
        self._queued = trio.Event()

    async def until_fewer_wait_than(self, most: int) -> None:
        """Until fewer commands than that wait to be handed out."""
        while len(self._queue) + self.streams.unsent >= most:  # polls come several times a second
            await trio.sleep(0.1)

    def shuffle(self, chance: random.Random) -> None:
        """Reorder what waits."""
        waiting = list(self._queue)
        chance.shuffle(waiting)
        self._queue = deque(waiting)

    def plan(self, route: str, fault: Fault, times: int = 1) -> None:
        """Let the next requests on this route meet `fault`."""
        self._planned[route].extend([fault] * times)

    @property
    def planned(self) -> int:
        """Faults that nobody has met yet."""
        return sum(map(len, self._planned.values()))

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
        request = await connection.request()
        self.requests.append((trio.current_time(), ROUTES.get(request.path, "?"), request))
        exchange = Exchange(connection, request, partial(self._proceed, request), self.record.reject)
        route = ROUTES.get(request.path)
        fault = None if route is None else self._fault(route)
        if fault is not None:
            self.faults += 1
            with trio.move_on_after(HANG_SECONDS):
                await fault(exchange)
            return
        if request.path == "/executor/stream" and self._allows(request):
            await connection.body()
            await self.streams.serve(connection, self._queue)
            return
        await connection.answer(await exchange.answer())

    def _fault(self, route: str) -> Fault | None:
        if self._planned[route]:
            return self._planned[route].popleft()
        return self.chance(route)

    def _allows(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.token}"

    async def _proceed(self, request: Request, body: bytes) -> Answer:
        if not self._allows(request):
            return Answer.json({"detail": "unknown token"}, 401)
        if request.headers.get("x-cluster-id") != self.cluster_id:
            return Answer.json({"detail": "unknown cluster"}, 403)
        if request.path == "/agent/status":
            return Answer.json({"cluster_id": self.cluster_id, "is_active": True, "queue_depth": len(self._queue)})
        if request.path == "/agent/commands":
            return await self._commands(float(request.query.get("wait", "20")))
        if request.path == "/executor/stream":
            events = b"".join(command_event(known.command) for known in self._take())
            return Answer(200, CONNECTED + events, {"content-type": "text/event-stream"})
        if ROUTES.get(request.path) == "results":
            return self._result(request, body)
        if ROUTES.get(request.path) == "status":
            return Answer.json({"status": "success"})
        return Answer.json({"detail": "no such route"}, 404)

    async def _commands(self, wait: float) -> Answer:
        with trio.move_on_after(min(wait, self.hold_seconds)):
            while not self._queue:
                await self._queued.wait()
        taken = self._take()
        return Answer.json({"commands": [known.command for known in taken]}) if taken else Answer(204)

    def _take(self) -> list[Known]:
        taken = [self._queue.popleft() for _ in range(min(PER_POLL, len(self._queue)))]
        for known in taken:
            known.handed_out.append(trio.current_time())
        return taken

    def _result(self, request: Request, body: bytes) -> Answer:
        if len(body) > self.max_body_bytes:
            return Answer.json({"detail": "too large"}, 413)
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        value = value if isinstance(value, dict) else {}
        result = value.get("result") if request.path == "/agent/results" else value
        if not self.record.store(value.get("command_id"), result, body):
            return Answer.json({"detail": "unknown command"}, 404 if request.path == "/agent/results" else 403)
        return Answer.json({"status": "ok"})

    async def _hand_out_again(self) -> None:
        while True:
            await trio.sleep(self.again_seconds / 4)
            late = trio.current_time() - self.again_seconds
            waiting = {known.id for known in self._queue}
            self.hand_out(
                *(k for k in self.record.open if k.handed_out[-1] < late and k.id not in waiting and not k.rejected)
            )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultApi"]:
        """Serve while the body runs."""
        async with trio.open_nursery() as self._nursery:
            self.listen()
            self._nursery.start_soon(self._hand_out_again)
            yield self
            self.refuse()
            self._nursery.cancel_scope.cancel()


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
async def fault_api(record: Record | None = None, *, again_seconds: float = math.inf) -> AsyncIterator[FaultApi]:
    """A running API on a port of its own."""
    async with FaultApi(record or Record(), again_seconds).running() as api:
        yield api
