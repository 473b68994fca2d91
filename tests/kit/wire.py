"""HTTP on a bare socket, with h11 for the parsing and nothing hidden: a fault may write what it likes, or nothing."""

import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import h11
import trio

READ_BYTES = 256 * 1024
COMMON = {"date": "Mon, 23 Nov 2026 12:00:00 GMT", "server": "uvicorn"}
"""What a common server sends with each answer, so that its bytes count."""
NO_LINGER = struct.pack("ii", 1, 0)  # SO_LINGER: closing then sends a reset


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API would answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, status: int = 200, **headers: str) -> "Answer":
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, json.dumps(value).encode(), {"content-type": "application/json", **named})

    @property
    def head(self) -> bytes:
        """The status line and the headers, as they go over the wire."""
        lines = [f"HTTP/1.1 {self.status} Whatever", f"content-length: {len(self.body)}"]
        lines += [f"{name}: {text}" for name, text in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True, slots=True)
class Request:
    """One request without its body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


class Gone(Exception):
    """The agent has closed the connection, or sent something that isn't HTTP."""


class Connection:
    """One connection from an agent."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.received_bytes = self.sent_bytes = 0
        self._http = h11.Connection(h11.SERVER)
        self._whole = True

    async def request(self) -> Request:
        """The next request, up to its body."""
        event = await self._event()
        if not isinstance(event, h11.Request):
            raise Gone
        self._whole = False
        path, _, query = event.target.decode().partition("?")
        headers = {name.decode(): value.decode() for name, value in event.headers}
        return Request(event.method.decode(), path, query, headers)

    async def chunk(self) -> bytes:
        """The next part of the request's body; nothing when all of it was read."""
        if self._whole:
            return b""
        event = await self._event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise Gone
        self._whole = True
        return b""

    async def body(self) -> bytes:
        """The request's body, read to its end."""
        body = bytearray()
        while chunk := await self.chunk():
            body += chunk
        return bytes(body)

    async def _event(self) -> object:
        while (event := self._next_event()) is h11.NEED_DATA:
            await self._receive()
        return event

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError:
            raise Gone from None

    async def _receive(self) -> bool:
        try:
            data = await self.stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Gone from None
        self.received_bytes += len(data)
        self._http.receive_data(data)
        return bool(data)

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.sent_bytes += len(data)
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Gone from None

    async def answer(self, answer: Answer) -> None:
        """An answer by the book; the connection can be used again after it."""
        length = {} if answer.status == 204 else {"content-length": str(len(answer.body))}
        headers = [*{**COMMON, **length, **answer.headers}.items()]
        data = self._http.send(h11.Response(status_code=answer.status, headers=headers, reason="Whatever"))
        data = (data or b"") + (self._http.send(h11.Data(answer.body)) or b"")
        await self.send(data + (self._http.send(h11.EndOfMessage()) or b""))

    async def next(self) -> bool:
        """Make ready for another request on this connection. False if there can't be one."""
        await self.body()
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def left(self) -> None:
        """Until the agent closes the connection."""
        with contextlib.suppress(Gone):
            while await self._receive():  # what comes early is the next request's
                pass

    def abort(self) -> None:
        """End the connection with a TCP reset."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.stream.socket.close()

    def reset(self) -> None:
        """The same, from within the exchange."""
        self.abort()
        raise Gone
