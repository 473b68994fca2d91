"""How httpx gets to a host: names with a budget of their own, and every address of it.

httpx's own backend gives name, connection and TLS one limit together. In a cluster a look-up takes 5 s whenever one
packet is lost, so names have a longer one, and the last good addresses are remembered.
"""

import socket
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any, cast

import httpcore
import trio

from agent.errors import LinkDown
from agent.link.connection import Seen, Stream, standing_still, words_of

NAME_SECONDS = 18.0
"""How long a look-up may take: the resolver's 5 s, twice, for two nameservers, nearly."""

KNOWN_NAME_SECONDS = 3.0
"""How long it may take where an address is remembered."""

CONNECT_SECONDS = 10.0
"""How long all addresses together may take."""

NEXT_ADDRESS_SECONDS = 0.25
"""The head start of one address before the next (RFC 8305, "happy eyeballs")."""

_OPTIONS = tuple(
    (level, getattr(socket, name), value)
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 8),  # some NATs forget a flow that was idle for 10 s
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 8),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 6),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 60_000),  # ms without an acknowledgement
        (socket.IPPROTO_TCP, "TCP_NOTSENT_LOWAT", 64 * 1024),  # so that what was written is nearly what was sent
    )
    if hasattr(socket, name)  # they are Linux's
)


class Network(httpcore.AsyncNetworkBackend):
    """What httpx connects with.

    Args:
        rooted: a host that was given with a dot at its end, without it: its look-up tries no search domains.
        proxy: whether what is connected to is a proxy.
    """

    def __init__(self, rooted: str | None = None, *, proxy: bool = False) -> None:
        self._rooted = rooted
        self._what = "the proxy" if proxy else "the API's host"
        self._good: dict[str, list[str]] = {}
        self._looking_up = trio.CapacityLimiter(4)  # a look-up that is given up keeps its thread until it ends
        self.seen = Seen()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  # as httpcore calls it; the limits are this file's own
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> "Stream":
        """Look the name up and connect.

        Raises:
            LinkDown: it can't be done; the sentence says whether it was the name.
        """
        self.seen = Seen()
        with standing_still():
            addresses = await self._look_up(host)
            self.seen.addresses = tuple(addresses)
            stream = await self._connect(addresses, host, port)
        self._good[host] = addresses
        self.seen.connected = f"{stream.socket.getpeername()[0]}:{port}"
        return Stream(stream, self.seen)

    async def _look_up(self, host: str) -> list[str]:
        known = self._good.get(host)
        name = f"{host}." if host == self._rooted else host
        try:
            with trio.fail_after(KNOWN_NAME_SECONDS if known else NAME_SECONDS):
                found = await trio.to_thread.run_sync(
                    _addresses, name, abandon_on_cancel=True, limiter=self._looking_up
                )
        except (OSError, UnicodeError, RuntimeError, trio.TooSlowError) as error:  # RuntimeError: no thread is left
            if known:
                return known
            words = f"no answer within {NAME_SECONDS:g} s" if isinstance(error, trio.TooSlowError) else words_of(error)
            hint = "Look at its spelling, and at the DNS that this machine uses: kubectl exec has `getent hosts NAME`."
            raise LinkDown(f"the name {host} can't be looked up: {words}", hint) from error
        return found

    async def _connect(self, addresses: list[str], host: str, port: int) -> trio.SocketStream:
        errors: list[OSError] = []
        streams: list[trio.SocketStream] = []

        async def attempt(address: str, failed: trio.Event) -> None:
            try:
                stream = await trio.open_tcp_stream(address, port)
            except OSError as error:
                errors.append(error)
                failed.set()
                return
            streams.append(stream)
            nursery.cancel_scope.cancel()

        chosen = 0
        try:
            with trio.move_on_after(CONNECT_SECONDS):
                async with trio.open_nursery() as nursery:
                    for address in addresses:
                        failed = trio.Event()
                        nursery.start_soon(attempt, address, failed)
                        with trio.move_on_after(NEXT_ADDRESS_SECONDS):
                            await failed.wait()
            chosen = 1
        finally:  # all of them if this is cancelled, else those that came late
            for late in streams[chosen:]:
                late.socket.close()
        if not streams:
            words = dict.fromkeys(map(words_of, errors)) if errors else [f"no connection within {CONNECT_SECONDS:g} s"]
            hint = f"Is {self._what} up, is {port} its port, and does a firewall or a NetworkPolicy let this pod out?"
            raise LinkDown(f"{_netloc(host, port)}: {', '.join(words)}", hint)
        for option in _OPTIONS:
            streams[0].setsockopt(*option)
        return streams[0]


def _addresses(name: str) -> list[str]:
    """All of them, the two families in turn, in the resolver's order."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    families: dict[int, list[str]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append(cast("str", address[0]))
    turns = zip_longest(*families.values())
    return list(dict.fromkeys(address for turn in turns for address in turn if address))


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
