"""A central API for measuring: plain sockets, so that its own work hardly counts, and every byte is counted.

It answers as the `poll` contract has it, with the headers that a common server sends. It keeps when each command went
out and when its result had arrived, and of a body only the beginning.
"""

import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import trio

TOKEN, CLUSTER_ID = "benchmark-token-0123456789abcdef0123456789abcdef", "benchmark"
KEPT_BYTES = 64 * 1024
_COMMON = "date: Mon, 23 Nov 2026 12:00:00 GMT\r\nserver: uvicorn\r\n"
_ID = re.compile(rb'"command_id"\s*:\s*"([^"]+)"')
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, in bytes as they were on the socket."""

    at: float
    path: str
    sent_bytes: int
    """By the agent."""
    answered_bytes: int
    status: int


@dataclass(slots=True)
class Asked:
    """One command. Times are `time.perf_counter()`, which is the same clock in all processes on Linux."""

    id: str
    arrived: trio.Event
    handed_out_at: float = 0.0
    arrived_at: float = 0.0
    body_bytes: int = 0
    beginning: bytes = b""


class BenchApi:
    """Made by `bench_api`."""

    def __init__(self) -> None:
        self.port = 0
        self.active = True
        self.up = True
        """False: every request is answered with 503."""
        self.exchanges: list[Exchange] = []
        self.asked: dict[str, Asked] = {}
        self.results = 0
        self.first_result_at = self.last_result_at = 0.0
        self.first_poll = trio.Event()
        self.first_poll_at = 0.0
        self._queue: deque[bytes] = deque()
        self._queued = trio.Event()
        self._parked = trio.Event()
        self._numbers = 0

    @property
    def url(self) -> str:
        """KUBENTLY_API_URL."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, args: Sequence[str], timeout: float = 60) -> Asked:
        """Put a command on its way."""
        self._numbers += 1
        asked = Asked(f"{self._numbers:08d}-4d2a-4f6b-9c3e-000000000000", trio.Event())
        self.asked[asked.id] = asked
        self._queue.append(json.dumps({"id": asked.id, "args": list(args), "timeout": timeout}).encode())
        self._queued.set()
        self._queued = trio.Event()
        return asked

    async def result(self, args: Sequence[str], timeout: float = 60) -> Asked:  # the command's
        """Ask when the agent's poll is here, and wait for the answer."""
        await self._parked.wait()
        asked = self.ask(args, timeout)
        await asked.arrived.wait()
        return asked

    async def parked(self) -> None:
        """Until a poll waits here."""
        await self._parked.wait()

    async def until_results(self, count: int) -> None:
        """Until so many results have come in all."""
        while self.results < count:  # an event for each result would cost more
            await trio.sleep(0.002)

    async def connection(self, stream: trio.SocketStream) -> None:
        """Serve one connection for as long as it lasts."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await self._exchange(stream):
                pass

    async def _exchange(self, stream: trio.SocketStream) -> bool:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = await stream.receive_some(65536)
            if not more:
                return False
            data += more
        head, body = data[:end], data[end + 4 :]
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        received = len(body)
        while received < length:
            more = await stream.receive_some(1 << 20)
            if not more:
                return False
            received += len(more)
            if len(body) < KEPT_BYTES:
                body += more
        path = head.split(b" ", 2)[1].decode()
        status, answer = await self._answer(path, body, length)
        reason = {200: "OK", 204: "No Content", 503: "Service Unavailable"}[status]
        sent = f"HTTP/1.1 {status} {reason}\r\n{_COMMON}".encode()
        if status != 204:
            sent += f"content-length: {len(answer)}\r\ncontent-type: application/json\r\n".encode()
        sent += b"\r\n" + answer
        self.exchanges.append(Exchange(time.perf_counter(), path, end + 4 + length, len(sent), status))
        await stream.send_all(sent)
        return True

    async def _answer(self, path: str, body: bytes, length: int) -> tuple[int, bytes]:
        if path.startswith("/agent/commands"):
            return await self._commands(path)
        if not self.up:
            return 503, b'{"detail":"away"}'
        if path == "/agent/status":
            depth = len(self._queue)
            return 200, json.dumps({"cluster_id": CLUSTER_ID, "is_active": self.active, "queue_depth": depth}).encode()
        return self._result(body, length)

    async def _commands(self, path: str) -> tuple[int, bytes]:
        if not self.first_poll.is_set():
            self.first_poll_at = time.perf_counter()
            self.first_poll.set()
        if not self.up:
            return 503, b'{"detail":"away"}'
        if not self._queue:
            self._parked.set()
            with trio.move_on_after(int(path.partition("wait=")[2] or 0)):
                await self._queued.wait()
            self._parked = trio.Event()
        taken = [self._queue.popleft() for _ in range(min(10, len(self._queue)))]
        if not taken:
            return 204, b""
        now = time.perf_counter()
        for command in taken:
            self.asked[json.loads(command)["id"]].handed_out_at = now
        return 200, b'{"commands":[' + b",".join(taken) + b"]}"

    def _result(self, body: bytes, length: int) -> tuple[int, bytes]:
        now = time.perf_counter()
        self.results += 1
        self.first_result_at = self.first_result_at or now
        self.last_result_at = now
        found = _ID.search(body)
        asked = self.asked.get(found[1].decode()) if found else None
        if asked is not None:
            asked.arrived_at, asked.body_bytes, asked.beginning = now, length, body[:KEPT_BYTES]
            asked.arrived.set()
        return 200, b'{"status":"accepted"}'


@asynccontextmanager
async def bench_api() -> AsyncIterator[BenchApi]:
    """A running API on a port of its own."""
    api = BenchApi()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=64)
        api.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, api.connection, [listener])
        yield api
        nursery.cancel_scope.cancel()
