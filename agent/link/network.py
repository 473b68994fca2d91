"""How httpx reaches a host, and one connection to it. Name look-up, TCP, TLS, reads and writes each have a time limit.
httpx's own backend has one limit for the first three together. In a cluster a look-up takes 5 s whenever a packet is
lost, so look-ups have a longer limit, and the last good addresses are remembered.
"""

import math
import os
import select
import ssl
from typing import Any, cast

import httpcore
import trio

from agent.errors import LinkDown

NAME_SECONDS = 18.0  # for a look-up: nearly twice the resolver's 5 s, for two nameservers
KNOWN_NAME_SECONDS = 3.0  # for a look-up when an address is known
CONNECT_SECONDS = 10.0  # for connecting to all addresses, in equal shares
TLS_SECONDS = 10.0  # for the handshake
WRITE_SECONDS, PIECE_BYTES = 60.0, 64 * 1024  # so long for so much of a body: slower than 1 KiB/s counts as dead


class StaleConnection(Exception):  # noqa: N818  # reads as what it says
    """A kept connection has ended before the first byte of the answer to this request."""


class Network(httpcore.AsyncNetworkBackend):
    """What httpx connects with, to one host. New connections trust whom `tls` does."""

    def __init__(self, tls: ssl.SSLContext, *, proxy: bool = False) -> None:
        self.tls = tls
        self.renewals = 0
        # How far the last connection got, for `kubently-agent check`.
        self.connected = ""
        self.certificate: dict[str, Any] | None = None
        self._what = "the proxy" if proxy else "the API's host"
        self._good: list[str] = []

    def renew(self) -> None:
        """Make the next request use a new connection. Requests under way keep theirs."""
        self.renewals += 1

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> "Stream":
        """Look the name up and connect: to the last good address first, then to the others in turn. Raises LinkDown."""
        self.connected, self.certificate = "", None
        addresses = await self._look_up(host)
        words: list[str] = []
        for address in addresses:
            with trio.move_on_after(CONNECT_SECONDS / len(addresses)):
                try:
                    tcp = await trio.open_tcp_stream(address, port)
                except OSError as error:
                    words.append(words_of(error))
                    continue
                tcp.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_KEEPALIVE, 1)
                tcp.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_KEEPIDLE, 8)  # some NATs forget a flow in 10 s
                self._good = [address, *(other for other in addresses if other != address)]
                self.connected = f"{address}:{port}"
                return Stream(self, tcp)
            words.append("no connection in time")
        hint = f"Is {self._what} up, is {port} its port, and does a firewall or a NetworkPolicy let this pod out?"
        netloc = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise LinkDown(f"{netloc}: {', '.join(dict.fromkeys(words))}", hint)

    async def _look_up(self, host: str) -> list[str]:
        try:
            with trio.fail_after(KNOWN_NAME_SECONDS if self._good else NAME_SECONDS):
                found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
        except (OSError, UnicodeError, RuntimeError, trio.TooSlowError) as error:  # RuntimeError: no thread is left
            if self._good:
                return self._good
            words = f"no answer within {NAME_SECONDS:g} s" if isinstance(error, trio.TooSlowError) else words_of(error)
            hint = "Look at its spelling, and at the DNS that this machine uses: kubectl exec has `getent hosts NAME`."
            raise LinkDown(f"the name {host.rstrip('.')} can't be looked up: {words}", hint) from error
        addresses = dict.fromkeys(str(address[0]) for *_, address in found)
        return sorted(addresses, key=lambda address: address not in self._good[:1])


class Stream(httpcore.AsyncNetworkStream):
    """One connection, plain or with TLS."""

    def __init__(self, network: Network, tcp: trio.SocketStream) -> None:
        self._network = network
        self._renewals = network.renewals
        self._socket = tcp.socket
        self._readable = select.poll()
        self._readable.register(tcp.socket, select.POLLIN)
        self._below = _Unbreakable(tcp)
        self._stream: _Unbreakable | trio.SSLStream[trio.SocketStream] = self._below
        self._unsent = b""
        self._served = self._unanswered = False

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Send it, or hold it until there is more: httpcore hands over head and body separately."""
        self._unanswered = True
        self._unsent += buffer
        if len(self._unsent) < PIECE_BYTES:
            return
        data, self._unsent = self._unsent, b""
        seconds = WRITE_SECONDS * len(data) / PIECE_BYTES
        with trio.move_on_after(seconds) as limit:
            await self._stream.send_all(data)
        if limit.cancelled_caught:
            raise httpcore.WriteTimeout(f"{len(data)} bytes weren't taken within {seconds:g} s")
        if self._below.broken:
            raise httpcore.WriteError(words_of(self._below.broken))  # httpcore asks for the answer all the same

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """The next bytes, once all is sent; none at the end."""
        stale = self._served and self._unanswered
        try:
            with trio.move_on_after(timeout or math.inf) as limit:
                if self._unsent:
                    data, self._unsent = self._unsent, b""
                    await self._stream.send_all(data)
                data = bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            kind = StaleConnection if stale else httpcore.ReadError
            raise kind(words_of(self._below.broken or error)) from error
        if limit.cancelled_caught:
            raise httpcore.ReadTimeout(f"silent for {timeout:g} s")
        if not data and stale:
            raise StaleConnection("the connection was closed meanwhile")
        self._served, self._unanswered = True, False
        return data

    async def start_tls(self, ssl_context: Any, server_hostname: Any = "", *_: Any, **__: Any) -> "Stream":  # noqa: ARG002
        """The same connection with TLS on it, by the network's context, which may be newer. Raises LinkDown."""
        name = (server_hostname or "").rstrip(".")  # certificates have names without a dot at the end
        over = cast("trio.SocketStream", self._stream)
        tls = trio.SSLStream(over, self._network.tls, server_hostname=name, https_compatible=True)
        try:
            with trio.fail_after(TLS_SECONDS):
                await tls.do_handshake()
        except BaseException as error:
            self._socket.close()
            if isinstance(error, (trio.TooSlowError, trio.BrokenResourceError)):
                raise _handshake_failure(self._below.broken or error) from error
            raise
        self._network.certificate = tls.getpeercert()
        self._stream, self._served = tls, False
        return self

    async def aclose(self) -> None:
        """Close it at once, without TLS's goodbye."""
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """A kept connection that can be read has ended, as no request is under way; after `renew` it counts as such."""
        if info == "is_readable":
            return self._renewals != self._network.renewals or bool(self._readable.poll(0))
        return None


class _Unbreakable:
    """The part of a TCP stream that is needed here, with writes that never fail: after a failed write trio's TLS reads
    nothing more, and what the server said before it closed, such as 413, would be lost.
    """

    def __init__(self, tcp: trio.SocketStream) -> None:
        self.receive_some = tcp.receive_some
        self._send_all = tcp.send_all
        self.broken: Exception | None = None

    async def send_all(self, data: bytes) -> None:
        """Write it, or remember why nothing can be written any more."""
        try:
            await self._send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.broken = error


def words_of(error: BaseException) -> str:
    """The system's message. For a connection trio has one of its own, with the system's error as the cause."""
    cause = error.__cause__ or error
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:  # a look-up has others
        return os.strerror(cause.errno)
    return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__


def _handshake_failure(error: Exception) -> LinkDown:
    cause = error.__cause__
    if isinstance(error, trio.TooSlowError):
        hint = "The connection is there but no TLS comes: look at load balancers and firewalls that inspect TLS."
        return LinkDown(f"no end of the TLS handshake within {TLS_SECONDS:g} s", hint)
    if isinstance(cause, ssl.SSLCertVerificationError):
        hint = "`kubently-agent check` says whose it is. Name its CA, or the certificate itself, with KUBENTLY_CA_CERT."
        return LinkDown(f"the API's certificate isn't trusted: {cause.verify_message}", hint)
    reason = getattr(cause, "reason", None) or ""
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        hint = "Is it the port of plain http? Look at KUBENTLY_API_URL."
        return LinkDown("what answers there doesn't speak TLS", hint)
    words = reason.replace("_", " ").lower() or words_of(error)
    hint = "A firewall that inspects TLS does this, and an API that wants a client certificate (KUBENTLY_CLIENT_CERT)."
    return LinkDown(f"the TLS handshake failed: {words}", hint)
