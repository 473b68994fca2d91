"""HTTP/1.1 in as much as three pages need it: one GET a connection, an answer, the end.

What connects may be anything that reaches the pod: a kubelet, Prometheus, a port scanner, a client that sends one byte
a minute. So a request has a size, a time and a number: when too many are open, the oldest that still hasn't been
answered makes room, and a probe that asks and listens like everybody else is always answered.
"""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import trio

from agent.errors import ConfigError
from agent.log import Log

log = Log("probes")

HEAD_BYTES = 8 * 1024
"""The longest request line and headers that are read."""

REQUEST_SECONDS = 5.0
"""For a whole request: to arrive, to be answered, to be taken away."""

CONNECTIONS = 32
"""How many may be open at once."""

_TEXT = "text/plain; charset=utf-8"
_DRAIN_BYTES = 64 * 1024
_ACCEPT_PAUSE_SECONDS = 0.1
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: HTTPStatus
    text: str
    content_type: str = _TEXT


Answer = Callable[[str, str], Awaitable[Page]]
"""From the path and what follows its question mark to the page."""


class BadRequest(Exception):  # noqa: N818  # HTTP's own word
    """What arrived can't be answered as asked."""

    def __init__(self, status: HTTPStatus) -> None:
        self.status = status


class Server:
    """Serves the pages that `answer` makes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._open: dict[trio.CancelScope, None] = {}

    async def accept(self, listener: trio.SocketListener) -> None:
        """Take connections, for ever."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in _PASSING:
                        raise
                    await trio.sleep(_ACCEPT_PAUSE_SECONDS)
                    continue
                if len(self._open) >= CONNECTIONS:
                    oldest = next(iter(self._open))
                    del self._open[oldest]
                    oldest.cancel()
                scope = trio.CancelScope(deadline=trio.current_time() + REQUEST_SECONDS)
                self._open[scope] = None
                nursery.start_soon(self._serve, stream, scope)

    async def _serve(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await self._exchange(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # gone in the middle: nobody is left to be told
        finally:
            self._open.pop(scope, None)
            await trio.aclose_forcefully(stream)

    async def _exchange(self, stream: trio.SocketStream) -> None:
        method = "GET"
        try:
            method, target = _request_line(await _head(stream))
            path, _, query = target.partition("?")
            page = await self._page(path, query)
        except BadRequest as bad:
            page = Page(bad.status, f"{bad.status.phrase}\n")
        await stream.send_all(_response(page, with_body=method != "HEAD"))
        await stream.send_eof()
        # Closed with something unread, a connection is reset, and the answer may be lost on its way.
        left = _DRAIN_BYTES
        while left > 0 and (more := await stream.receive_some(left)):
            left -= len(more)

    async def _page(self, path: str, query: str) -> Page:
        try:
            return await self._answer(path, query)
        except Exception as error:  # a page that can't be made must never end the agent
            log.error("page can't be made", path=path[:80], reason=f"{type(error).__name__}: {error}")
            return Page(HTTPStatus.INTERNAL_SERVER_ERROR, "Look into the agent's log.\n")


async def _head(stream: trio.SocketStream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        if len(head) >= HEAD_BYTES:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        more = await stream.receive_some(HEAD_BYTES - len(head))
        if not more:
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        head += more
        if not head[:1].isalpha():  # such as the beginning of TLS
            raise BadRequest(HTTPStatus.BAD_REQUEST)
    return head


def _request_line(head: bytes) -> tuple[str, str]:
    words = head.split(b"\n", 1)[0].decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(HTTPStatus.BAD_REQUEST)
    if words[0] not in {"GET", "HEAD"}:
        raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED)
    return words[0], words[1]


def _response(page: Page, *, with_body: bool) -> bytes:
    body = page.text.encode()
    head = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\n"
        f"Content-Type: {page.content_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Allow: GET, HEAD\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    return head + body if with_body else head


async def listen(address: tuple[str, int]) -> list[trio.SocketListener]:
    """Open the address.

    Raises:
        ConfigError: it is taken, isn't this machine's, or may not be opened.
    """
    host, port = address
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=CONNECTIONS)
    except OSError as error:
        why, hint = {
            errno.EADDRINUSE: ("another program has it already", "End that one, or choose another port."),
            errno.EADDRNOTAVAIL: ("this machine doesn't have that address", "0.0.0.0 means all that it has."),
            errno.EACCES: ("ports below 1024 need rights that the agent doesn't have", "Choose a higher one."),
        }.get(error.errno or 0, (error.strerror or str(error), "0.0.0.0 means all addresses of this machine."))
        raise ConfigError(f"KUBENTLY_HEALTH_ADDRESS: {host}:{port} can't be opened: {why}.", hint) from error
