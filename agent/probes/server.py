"""As much of HTTP/1.1 as three pages need: one GET per connection.

Whatever reaches the pod may connect: a port scanner, a client that sends one byte a minute. So a request has a size, a
time and a number: when too many are open the oldest makes room, and a probe that asks like others is always answered.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus

import trio

from agent.errors import ConfigError
from agent.log import Log
from agent.metrics import CONTENT_TYPE

log = Log("probes")

HEAD_BYTES = 8 * 1024  # of a request line and headers together
REQUEST_SECONDS = 5.0  # for a request to arrive, to be answered, and for the answer to be read
CONNECTIONS = 8  # open at once: each is a descriptor, and kubectl needs some too

Page = tuple[int, str]  # status and text
Answer = Callable[[str, str], Awaitable[Page]]  # makes a page from path and query


async def listen(address: tuple[str, int]) -> list[trio.SocketListener]:
    """Open the address. Raises ConfigError if it is taken, isn't this machine's, or may not be opened."""
    host, port = address
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=CONNECTIONS)
    except OSError as error:
        raise ConfigError(
            f"KUBENTLY_HEALTH_ADDRESS: {host}:{port} can't be opened: {error.strerror or error}.",
            "Name an address of this machine (0.0.0.0 means all) and a port above 1023 that no other program has.",
        ) from error


async def serve(listeners: list[trio.SocketListener], answer: Answer) -> None:
    """Serve pages, for ever."""
    being_served: list[trio.CancelScope] = []

    async def one(stream: trio.SocketStream) -> None:
        if len(being_served) >= CONNECTIONS:
            being_served.pop(0).cancel()
        # A client that is gone in the middle doesn't have to be told.
        with suppress(trio.BrokenResourceError), trio.move_on_after(REQUEST_SECONDS) as scope:
            being_served.append(scope)
            await _exchange(stream, answer)
        with suppress(ValueError):  # it made room for another
            being_served.remove(scope)

    await trio.serve_listeners(one, listeners)


async def _exchange(stream: trio.SocketStream, answer: Answer) -> None:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < HEAD_BYTES:
        if not (more := await stream.receive_some(HEAD_BYTES)):
            return
        head += more
    match head.partition(b"\r\n")[0].decode("latin-1").split():
        case ["GET", target, version] if version.startswith("HTTP/1."):
            try:
                status, text = await answer(*target.partition("?")[::2])
            except Exception as error:  # a page that can't be made must never end the agent
                log.error("page can't be made", path=target[:80], reason=f"{type(error).__name__}: {error}")
                status, text = 500, "Look into the agent's log.\n"
        case _:
            status, text = 400, "Only GET is answered, by HTTP/1.1.\n"
    body = text.encode()
    response = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    await stream.send_all(response.encode() + body)
    await stream.send_eof()
