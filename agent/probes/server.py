"""HTTP/1.1 in as much as three pages need it: one GET a connection, an answer, the end.

What connects may be anything that reaches the pod: a kubelet, Prometheus, a port scanner, a client that sends one byte
a minute. So a request has a size, a time and a number: when too many are open, the oldest makes room, and a probe that
asks and listens like everybody else is always answered.
"""

import errno
import logging
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

CONNECTIONS = 8
"""How many may be open at once. Each is a descriptor, and kubectl needs some too."""

_DRAIN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: HTTPStatus
    text: str
    content_type: str = "text/plain; charset=utf-8"


Answer = Callable[[str, str], Awaitable[Page]]
"""From the path and what follows its question mark to the page."""


class Server:
    """Serves the pages that `answer` makes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._open: list[trio.CancelScope] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer on one connection."""
        if len(self._open) >= CONNECTIONS:
            self._open.pop(0).cancel()
        scope = trio.CancelScope(deadline=trio.current_time() + REQUEST_SECONDS)
        self._open.append(scope)
        try:
            with scope:
                await self._exchange(stream)
        except (trio.BrokenResourceError, OSError):
            pass  # gone in the middle: nobody is left to be told
        finally:
            if scope in self._open:
                self._open.remove(scope)
            await trio.aclose_forcefully(stream)

    async def _exchange(self, stream: trio.SocketStream) -> None:
        with_body = True
        match await _request(stream):
            case ["GET" | "HEAD" as method, target, version] if version.startswith("HTTP/1."):
                page = await self._page(*target.partition("?")[::2])
                with_body = method == "GET"
            case [_, _, version] if version.startswith("HTTP/1."):
                page = Page(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD.\n")
            case _:
                page = Page(HTTPStatus.BAD_REQUEST, "Not a request of HTTP/1.1.\n")
        await stream.send_all(_response(page, with_body=with_body))
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


async def _request(stream: trio.SocketStream) -> list[str]:
    """The words of the request line; none if what comes can't be a request."""
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        if len(head) >= HEAD_BYTES or not (more := await stream.receive_some(HEAD_BYTES)):
            return []
        head += more
        if not head[:1].isalpha():  # such as the beginning of TLS
            return []
    return head.partition(b"\n")[0].decode("latin-1").split()


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
    # When descriptors run out, trio waits and tries again, and tells so to a logger of its own, with a traceback.
    logging.getLogger("trio.serve_listeners").propagate = False
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
