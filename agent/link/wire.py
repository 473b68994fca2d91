"""HTTP/1.1 on trio's own sockets: a transport for httpx, straight to the API's host.

httpx's own transport stays in use behind a proxy. Without one it isn't, for three reasons, all measured with httpcore
1.0.9: of the processor time of a small request two thirds went into its pool, locks and deadlines, ten of them for each
request, where one host and a few connections need none of that; head and body left in two packets; and a request that
was cancelled while it waited for the pool took its place with it for good. The grammar of HTTP is h11's here as well.
"""

import errno
import math
import os
import select
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import cast

import h11
import httpx
import trio

AT_ONCE_BYTES = 64 * 1024
"""How much a socket takes or gives at once, and the most that a head may have."""

IDLE_SECONDS = 90.0
"""How long an unused connection is kept: longer than the longest pause between two polls."""

IDLE_MOST = 16
"""How many unused connections are kept."""


class Wire(httpx.AsyncBaseTransport):
    """Connections to one host. A cancelled or failed request closes its own, and touches no other.

    Raises, as every transport of httpx: `ConnectError`, `ConnectTimeout`, `ReadError`, `ReadTimeout`, `WriteTimeout`,
    `RemoteProtocolError`, `LocalProtocolError`.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._idle: list[Connection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return once the head of its answer is there."""
        limits = request.extensions["timeout"]
        connection = self._unused() or await Connection.open(request.url, self._tls, limits["connect"] or math.inf)
        silence = limits["read"] or math.inf
        try:
            await connection.send(request, silence)
            head = await connection.head(silence)
        except BaseException:
            connection.close()
            raise
        body = Body(connection, silence, self._keep)
        return httpx.Response(head.status_code, headers=list(head.headers), stream=body, request=request)

    def _unused(self) -> "Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    def _keep(self, connection: "Connection") -> None:
        self._idle.append(connection)
        while len(self._idle) > IDLE_MOST:
            self._idle.pop(0).close()

    async def aclose(self) -> None:
        """Close the unused connections. The others are closed with their answers."""
        while self._idle:
            self._idle.pop().close()


class Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes. Not a generator: one that is dropped is suspended until it is collected."""

    def __init__(self, connection: "Connection", silence: float, keep: Callable[["Connection"], None]) -> None:
        self._connection: Connection | None = connection
        self._silence = silence
        self._keep = keep

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._connection is None:
            raise StopAsyncIteration
        event = await self._connection.event(self._silence)
        if isinstance(event, h11.Data):
            return bytes(event.data)
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Keep the connection for another request if the answer was read to its end, else close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.begin_anew():
            self._keep(connection)
        else:
            connection.close()


class Way:
    """As much of a stream as TLS asks of the one below it, and one whose writes don't fail. After one that does trio's
    TLS reads nothing any more, and what the server said before it closed is lost.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket = stream.socket
        self.broken: trio.BrokenResourceError | None = None
        """Why nothing can be written any more."""
        self.receive_some = stream.receive_some
        self._send_all = stream.send_all

    async def send_all(self, data: bytes) -> None:
        """Write it, or remember why not."""
        try:
            await self._send_all(data)
        except trio.BrokenResourceError as error:
            self.broken = error


class Connection:
    """One connection. All limits are seconds without any progress."""

    def __init__(self, way: Way, stream: Way | trio.abc.Stream) -> None:
        self._way = way
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=AT_ONCE_BYTES)
        self._unused_since = 0.0

    @classmethod
    async def open(cls, url: httpx.URL, tls: ssl.SSLContext, seconds: float) -> "Connection":
        """Connect, and agree on TLS for an https URL."""
        host = url.raw_host.decode("ascii")
        secure = url.scheme == "https"
        try:
            with trio.fail_after(seconds):
                way = Way(await trio.open_tcp_stream(host, url.port or (443 if secure else 80)))
            if not secure:
                return cls(way, way)
            below = cast("trio.abc.Stream", way)
            stream = trio.SSLStream(below, tls, server_hostname=host, https_compatible=True)
            try:
                with trio.fail_after(seconds):
                    await stream.do_handshake()
            except BaseException:
                way.socket.close()
                raise
            return cls(way, stream)
        except trio.TooSlowError:
            raise httpx.ConnectTimeout(f"no connection within {seconds:g} s") from None
        except OSError as error:
            raise httpx.ConnectError(f"{url.netloc.decode('ascii')}: {_words(error)}") from error
        except trio.BrokenResourceError as error:
            raise httpx.ConnectError(str(error.__cause__ or error)) from error

    @property
    def usable(self) -> bool:
        """Whether it may take another request: not too old, and not closed by the server meanwhile."""
        if time.monotonic() - self._unused_since > IDLE_SECONDS:
            return False
        waiting = select.poll()
        waiting.register(self._way.socket.fileno(), select.POLLIN)
        return not waiting.poll(0)  # nobody was asked anything, so what there is to read is its end

    def begin_anew(self) -> bool:
        """Make it ready for another request; False if it can't be."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE or self._way.broken:
            return False
        if self._http.trailing_data[0]:  # such as a body after a 204: it would be taken for the next answer
            return False
        self._http.start_next_cycle()
        self._unused_since = time.monotonic()
        return True

    def close(self) -> None:
        """At once and without a word."""
        self._way.socket.close()

    async def send(self, request: httpx.Request, silence: float) -> None:
        """Send a request; what is small in one packet."""
        try:
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        except h11.LocalProtocolError as error:  # such as a line break in a header
            raise httpx.LocalProtocolError(str(error)) from error
        waiting = self._sent(head)
        async for data in cast("httpx.AsyncByteStream", request.stream):
            waiting += self._sent(h11.Data(data=data))
            if len(waiting) >= AT_ONCE_BYTES:
                await self._write(waiting, silence)
                waiting = b""
            if self._way.broken:
                return  # a server that doesn't want all of a body answers and closes: what it said is worth reading
        await self._write(waiting + self._sent(h11.EndOfMessage()), silence)

    def _sent(self, event: h11.Event) -> bytes:
        try:
            return self._http.send(event) or b""
        except h11.LocalProtocolError as error:  # such as a body that isn't as long as was said
            raise httpx.LocalProtocolError(str(error)) from error

    async def _write(self, data: bytes, silence: float) -> None:
        try:
            for first in range(0, len(data), AT_ONCE_BYTES):
                with trio.fail_after(silence):
                    await self._stream.send_all(data[first : first + AT_ONCE_BYTES])
        except trio.TooSlowError:
            raise httpx.WriteTimeout(f"the server took nothing for {silence:g} s") from None

    async def head(self, silence: float) -> h11.Response:
        """The head of the answer, after any number of interim ones."""
        while isinstance(event := await self.event(silence), h11.InformationalResponse):
            pass
        return cast("h11.Response", event)  # h11 raises for all else

    async def event(self, silence: float) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event of the answer."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._read(silence))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        return event

    async def _read(self, silence: float) -> bytes:
        try:
            with trio.fail_after(silence):
                data = bytes(await self._stream.receive_some(AT_ONCE_BYTES))
        except trio.TooSlowError:
            raise httpx.ReadTimeout(f"silent for {silence:g} s") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            broken = self._way.broken or error
            raise httpx.ReadError(str(broken.__cause__ or broken)) from error
        if not data and self._http.their_state is h11.SEND_RESPONSE:
            raise httpx.RemoteProtocolError("the server closed the connection without an answer")
        return data


def _words(error: BaseException) -> str:
    """The system's own words: trio tries each of a host's addresses, and puts what became of them into the cause."""
    cause = error.__cause__ or error
    tried = cause.exceptions if isinstance(cause, BaseExceptionGroup) else (cause,)
    return ", ".join(dict.fromkeys(_word(each) for each in tried))


def _word(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno and error.errno in errno.errorcode:  # a look-up has others
        return os.strerror(error.errno)
    return str(getattr(error, "strerror", None) or error)
