"""One connection under httpx: every write and read has a limit, and an answer's head is read as curl reads it."""

import errno
import math
import os
import re
import select
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import httpcore
import trio

from agent.errors import LinkDown

TLS_SECONDS = 10.0
"""How long the handshake may take."""

PIECE_BYTES = 64 * 1024
"""How much is written under one limit."""

HEAD_BYTES = 64 * 1024
"""The most that an answer's head may have."""

LIMIT: ContextVar[trio.CancelScope] = ContextVar("LIMIT", default=trio.CancelScope())  # noqa: B039  # never entered
"""The limit of the request that is under way in this task."""

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_INTERIM = re.compile(rb"HTTP/\d\.\d 1(?!01)\d\d")
_BARE = re.compile(rb"HTTP/\d\.\d (204|304)")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*:[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")  # RFC 9110 §5


class StaleConnection(Exception):  # noqa: N818  # reads as what it says
    """A connection that had served before has ended, without a byte of an answer to this request."""


@contextmanager
def standing_still() -> Iterator[None]:
    """Inside, the limit of the request stands still: making a connection has limits of its own."""
    limit = LIMIT.get()
    left, limit.deadline = limit.deadline - trio.current_time(), math.inf
    try:
        yield
    finally:
        limit.deadline = trio.current_time() + left


@dataclass(slots=True)
class Seen:
    """How far the last connection came, for `kubently-agent check`."""

    addresses: tuple[str, ...] = ()
    connected: str = ""
    tls_version: str = ""
    certificate: dict[str, Any] | None = None


class Stream(httpcore.AsyncNetworkStream):
    """One connection, plain or with TLS. What h11 would refuse in an answer's head is taken out before h11 reads it."""

    def __init__(self, below: trio.SocketStream, seen: Seen, over: "_Unbreakable | None" = None) -> None:
        self._below = below
        self._seen = seen
        self._over = over
        self._tls: trio.SSLStream[trio.SocketStream] | None = None
        self._stream: trio.abc.Stream = below
        self._unsent = b""
        self._head: bytearray | None = None
        self._served = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """The next bytes; of a head all of it at once."""
        if self._unsent:
            rest, self._unsent = self._unsent, b""
            with suppress(httpcore.WriteError):  # it may have answered all the same
                await self._send(rest, timeout)
        if self._head is None:
            return await self._receive(max_bytes, timeout)
        while (end := _END_OF_HEAD.search(self._head)) is None and len(self._head) < HEAD_BYTES:
            data = await self._receive(max_bytes, timeout)
            if not data:
                break
            self._head += data
        read, self._head = bytes(self._head), None
        if end is None:
            if not read and self._served:
                raise StaleConnection("the connection was closed meanwhile")
            return read
        head, rest = read[: end.end()], read[end.end() :]
        if _INTERIM.match(head):
            self._head = bytearray(rest)
            return _legible(head)
        self._served = True
        if rest and _BARE.match(head):  # a body where there can be none would be taken for the next answer
            return _legible(head)[:-2] + b"Connection: close\r\n\r\n"
        return _legible(head) + rest

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send it, but for a rest that goes out with what comes next: httpcore hands over head and body one by one."""
        self._head = bytearray()  # an answer is next
        buffer, self._unsent = self._unsent + buffer, b""
        whole = len(buffer) - len(buffer) % PIECE_BYTES
        for at in range(0, whole, PIECE_BYTES):
            await self._send(buffer[at : at + PIECE_BYTES], timeout)
        self._unsent = buffer[whole:]

    async def _send(self, piece: bytes, timeout: float | None) -> None:  # noqa: ASYNC109
        try:
            with trio.fail_after(timeout or math.inf):
                await self._stream.send_all(piece)
        except trio.TooSlowError:
            raise httpcore.WriteTimeout(f"nothing was taken for {timeout:g} s") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._broken(error, httpcore.WriteError) from error
        if self._over and self._over.broken:
            raise self._broken(self._over.broken, httpcore.WriteError)

    async def _receive(self, max_bytes: int, timeout: float | None) -> bytes:  # noqa: ASYNC109
        try:
            with trio.fail_after(timeout or math.inf):
                return bytes(await self._stream.receive_some(max_bytes))
        except trio.TooSlowError:
            raise httpcore.ReadTimeout(f"silent for {timeout:g} s") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._broken(error, httpcore.ReadError) from error

    def _broken(self, error: Exception, kind: type[Exception]) -> Exception:
        broken = (self._over.broken if self._over else None) or error
        words = words_of(broken.__cause__ or broken)
        untold = self._head is not None and not self._head
        return StaleConnection(words) if self._served and untold else kind(words)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
    ) -> "Stream":
        """The same connection with TLS on it.

        Raises:
            LinkDown: it can't be done; the sentence says why.
        """
        stream = Stream(self._below, self._seen, over := _Unbreakable(self._below))
        below = cast("trio.SocketStream", over)
        stream._stream = stream._tls = tls = trio.SSLStream(
            below, ssl_context, server_hostname=server_hostname, https_compatible=True
        )
        try:
            with standing_still(), trio.fail_after(TLS_SECONDS):
                await tls.do_handshake()
        except BaseException as error:
            self._below.socket.close()
            if isinstance(error, (trio.TooSlowError, trio.BrokenResourceError)):
                raise _tls_failure(over.broken or error) from error
            raise
        self._seen.tls_version = tls.version() or ""
        self._seen.certificate = tls.getpeercert()
        return stream

    async def aclose(self) -> None:
        """Close it, at once and without a word."""
        self._below.socket.close()

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for."""
        if info != "is_readable":
            return self._tls if info == "ssl_object" else None
        waiting = select.poll()
        waiting.register(self._below.socket.fileno(), select.POLLIN)
        return bool(waiting.poll(0))  # nobody was asked anything, so what there is to read is its end


class _Unbreakable:
    """As much of a stream as TLS asks of the one below it, and one whose writes don't fail. After one that does trio's
    TLS reads nothing any more, and what the server said before it closed, such as 413, is lost.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
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


def _legible(head: bytes) -> bytes:
    """The head without what h11 would refuse all of it for; curl and Go overlook most of that."""
    first, *lines = re.split(rb"\r?\n", head)
    kept: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and kept:
            kept[-1] += b" " + line.strip()
        elif field := _FIELD.fullmatch(line):
            kept.append(field[1] + b": " + field[2])
    return b"\r\n".join([first, *kept, b"", b""])


def _tls_failure(error: BaseException) -> LinkDown:
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
    words = reason.replace("_", " ").lower() or words_of(cause or error)
    hint = "A firewall that inspects TLS does this, and an API that wants a client certificate (KUBENTLY_CLIENT_CERT)."
    return LinkDown(f"the TLS handshake failed: {words}", hint)


def words_of(error: BaseException) -> str:
    """The system's own words: trio tries an address and puts what became of it into the cause."""
    cause = error.__cause__ or error
    tried = cause.exceptions if isinstance(cause, BaseExceptionGroup) else (cause,)
    return ", ".join(dict.fromkeys(_word(each) for each in tried))


def _word(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno and error.errno in errno.errorcode:  # a look-up has others
        return os.strerror(error.errno)
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
