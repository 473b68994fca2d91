"""HTTP on a bare socket, with h11 for the parsing and nothing hidden: a fault may write what it likes, or nothing."""

import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import h11
import trio

READ_BYTES = 64 * 1024
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
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Gone(Exception):
    """The agent has closed the connection, or sent something that isn't HTTP."""


class Connection:
    """One connection from an agent."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.SERVER)
        self._whole = True

    async def request(self) -> Request:
        """The next request, up to its body."""
        event = await self._event()
        if not isinstance(event, h11.Request):
            raise Gone
        self._whole = False
        path, _, query = event.target.decode().partition("?")
        pairs = (pair.partition("=") for pair in query.split("&") if pair)
        headers = {name.decode(): value.decode() for name, value in event.headers}
        return Request(event.method.decode(), path, {name: value for name, _, value in pairs}, headers)

    async def body(self) -> bytes:
        """The request's body, read to its end."""
        body = bytearray()
        while not self._whole:
            event = await self._event()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._whole = True
            else:
                raise Gone
        return bytes(body)

    async def _event(self) -> object:
        while (event := self._next_event()) is h11.NEED_DATA:
            try:
                self._http.receive_data(await self.stream.receive_some(READ_BYTES))
            except trio.BrokenResourceError:
                raise Gone from None
        return event

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError:
            raise Gone from None

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            raise Gone from None

    async def answer(self, answer: Answer) -> None:
        """An answer by the book; the connection can be used again after it."""
        headers = [("content-length", str(len(answer.body))), *answer.headers.items()]
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
        with contextlib.suppress(trio.BrokenResourceError):
            while await self.stream.receive_some(READ_BYTES):
                pass

    def abort(self) -> None:
        """End the connection with a TCP reset."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.stream.socket.close()

    def reset(self) -> None:
        """The same, from within the exchange."""
        self.abort()
        raise Gone
