"""HTTP to the central API: one client, one TLS context, limits on everything.

What this room protects from, each seen in the wild or measured:

- Redirects are never followed: the token would go wherever they point.
- The API's words go into the log and the spool, so the token is taken out of them: somebody may send it back.
- Answers are read up to a bound, before and after a coding that nobody asked for is undone.
- A kept connection that turns out to be dead is no outage: the request goes out once more, at once, on a new one.
- The connections have no limit of their own. With one, httpcore on trio leaked a slot for good whenever a request was
  cancelled while it waited for the pool (httpcore 1.0.9, trio 0.35, measured). Who sends how much is bounded above.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from typing import cast

import h11
import httpx
import trio

from agent import __version__
from agent.config import Config
from agent.errors import ConfigError, LinkDown
from agent.filewatch import FileWatch
from agent.link.answer import ELSEWHERE, Answer, decoded, from_api, unhappy
from agent.link.connection import LIMIT, StaleConnection
from agent.link.network import Network
from agent.link.proxy import proxy_for
from agent.link.token import Token
from agent.link.transport import Way, parsed, transport_to, unrooted
from agent.log import Log

log = Log("link")

MAX_BODY_BYTES = 3 * 1024 * 1024
"""The largest answer that is read: 10,000 commands of 300 bytes. Parsed, one of nothing but `{}` takes 30 times its
size (8 MiB took 272, measured), and the pod has 256."""

WRITE_SECONDS = 60.0
"""How long 64 KiB of a body may take: a line slower than 1 KiB/s counts as dead."""

WHOLE_SECONDS = 10.0
"""How much longer than the silence before it an answer may last."""

LEAST_BYTES_PER_SECOND = 1024

_CAUSES = 8  # how deep an error's causes are looked into; contexts may even go round in a circle
_REDACTED = "(token)"

Pieces = Callable[[], AsyncGenerator[bytes, None]]
"""A body that is read while it is sent; called again if it must be sent again."""


class Http:
    """The client. Every request carries the token, the cluster's id and the agent's version.

    Raises:
        ConfigError: a certificate file, the URL or the proxy can't be used.
    """

    def __init__(self, config: Config) -> None:
        self.token = Token(config.token, config.token_file)
        self._config = config
        parsed("KUBENTLY_API_URL", config.api_url)  # what is wrong with it is said once, not at each request
        self._base, rooted = unrooted(config.api_url)
        self.network = Network(rooted, proxy=proxy_for(config.api_url) is not None)
        self._certificates = FileWatch(config.ca_cert, config.client_cert, config.client_key)
        self._certificates.changed()
        # The transport alone: a client around it would look for redirects, cookies and passwords that are never wanted,
        # and parse every URL anew, which together take a third of a request's time.
        self._way = Way(transport_to(config, self.network))
        self._begun: set[trio.CancelScope] = set()
        self._headers = {
            "User-Agent": f"kubently-agent/{__version__}",
            "X-Cluster-ID": config.cluster_id,
            "Accept-Encoding": "identity",
        }
        self._urls: dict[str, httpx.URL] = {}

    async def request(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        body: bytes | Pieces | None = None,
        length: int = 0,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> Answer:
        """One request and its whole answer.

        Args:
            method: GET or POST.
            path: from the API's base on, with its query.
            seconds: how long the answer may be silent, once connected and everything is sent.
            body: JSON, whole or in pieces.
            length: the body's size in bytes, if it comes in pieces.
            headers: more headers.
            again: send it once more if a kept connection turns out to be dead.

        Raises:
            LinkDown: no answer, or not the API's: HTML, a redirect, or larger than `MAX_BODY_BYTES`.
        """
        sent = dict(headers or {})
        if isinstance(body, bytes):
            length = len(body)
        if body is not None:
            sent |= {"Content-Type": "application/json", "Content-Length": str(length)}
        limit = seconds + WHOLE_SECONDS + length / LEAST_BYTES_PER_SECOND
        timeout = httpx.Timeout(seconds, write=WRITE_SECONDS, pool=None)
        try:
            return await self._exchange(method, path, sent, timeout, body, limit)
        except StaleConnection as stale:
            if not again:
                raise LinkDown(str(stale)) from stale
            return await self._exchange(method, path, sent, timeout, body, limit)

    async def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        timeout: httpx.Timeout,  # noqa: ASYNC109  # httpx's
        body: bytes | Pieces | None,
        limit: float,
    ) -> Answer:
        async with AsyncExitStack() as stack:
            content = await stack.enter_async_context(aclosing(body())) if callable(body) else body
            request = self._request(method, path, headers, timeout, content)
            token = _token_of(request)
            way = (await self._current_way()).enter()
            stack.push_async_callback(way.leave)
            try:
                with _as_link_down(limit, timeout.read, token), _limited(limit) as scope:
                    response = await way.transport.handle_async_request(request)
                    answer = await self._whole(response, scope, token)
            except (StaleConnection, LinkDown) as error:
                if not isinstance(error, LinkDown) or error.silent:  # the other kept ones are as old
                    await self._renew()
                raise
        return from_api(answer)

    async def open_stream(self, path: str, *, media_type: str, seconds: float) -> "OpenStream":
        """Begin a GET whose answer has no end.

        Args:
            path: from the API's base on.
            media_type: what the answer must be.
            seconds: the limit until it has begun, once connected.

        Raises:
            LinkDown: no answer, or another one.
        """
        request = self._request("GET", path, {"Accept": media_type}, httpx.Timeout(None))
        token = _token_of(request)
        await self._renew()  # so that it begins on a connection of its own
        way = self._way.enter()
        try:
            with _as_link_down(seconds, token=token), _limited(seconds) as scope:
                response = await way.transport.handle_async_request(request)
                got = response.headers.get("content-type", "no content type").partition(";")[0].strip()
                coding = response.headers.get("content-encoding", "identity")
                answer = None if response.status_code == 200 else await self._whole(response, scope, token)
        except BaseException:
            await way.leave()
            raise
        stream = OpenStream(response, way)
        if answer is None and got.lower() == media_type and coding == "identity":
            return stream
        await stream.aclose()
        if answer is not None:
            raise unhappy(from_api(answer))
        raise LinkDown(f"HTTP 200 with {got} ({coding}) where {media_type} was expected", ELSEWHERE, status=200)

    async def _current_way(self) -> Way:
        if self._certificates.changed():
            try:
                await self._renew()
            except ConfigError as error:
                log.warning("certificates can't be used, the old ones stay", reason=error.problem, todo=error.hint)
            else:
                log.info("certificates read again")
        return self._way

    async def _renew(self) -> None:
        """Let the next request begin on a new connection. Those under way end on theirs."""
        old, self._way = self._way, Way(transport_to(self._config, self.network))
        old.replaced = True
        await old.close_unused()

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        timeout: httpx.Timeout,
        body: bytes | AsyncIterator[bytes] | None = None,
    ) -> httpx.Request:
        sent = {"Authorization": f"Bearer {self.token.current()}", **self._headers, **headers}
        extensions = {"timeout": timeout.as_dict()}
        if path not in self._urls:  # parsed once: there are half a dozen, and parsing one takes longer than sending it
            self._urls[path] = httpx.URL(self._base + path)
        return httpx.Request(method, self._urls[path], headers=sent, content=body, extensions=extensions)

    async def _whole(self, response: httpx.Response, limit: trio.CancelScope, token: str) -> Answer:
        # Once an answer has begun it is read to its end, even if the agent is being stopped: it may hold commands, and
        # the API has already counted them as handed out.
        body = bytearray()
        with trio.CancelScope(shield=True, deadline=limit.deadline) as reading:
            self._begun.add(reading)
            try:
                async for chunk in _stream(response):
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        reading.cancel()  # leaves httpx's generators in order, which a plain break doesn't
            finally:
                self._begun.discard(reading)
                await response.aclose()
        if len(body) > MAX_BODY_BYTES:
            problem = f"HTTP {response.status_code} with more than {MAX_BODY_BYTES >> 20} MiB: not the API's answer"
            raise LinkDown(problem, ELSEWHERE, status=response.status_code)
        if reading.cancelled_caught:
            raise trio.TooSlowError
        plain = decoded(bytes(body), response.headers.get("content-encoding", "").strip().lower(), MAX_BODY_BYTES)
        if response.status_code != 200:  # then people are told its words
            plain = plain.replace(token.encode(), _REDACTED.encode())
        return Answer(response.status_code, response.headers, plain)

    def abandon(self) -> None:
        """Give up the answers that have begun: the agent must end, and a server may take its time."""
        for reading in self._begun:
            reading.cancel()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._way.transport.aclose()


class OpenStream:
    """An answer without an end, read as it comes. Not decompressed, and nothing of it is kept."""

    def __init__(self, response: httpx.Response, way: Way) -> None:
        self._response = response
        self._chunks = aiter(_stream(response))
        self._way = way

    async def read(self) -> bytes | None:
        """The next bytes, at most 64 KiB; None at the end. Can't be read any more once it was cancelled.

        Raises:
            LinkDown: the connection is lost.
        """
        with _as_link_down(0):
            return await anext(self._chunks, None)

    async def aclose(self) -> None:
        """Close the connection, at once, even when cancelled."""
        # A generator that is merely dropped stays suspended until it is collected. One that is cancelled while it reads
        # unwinds, and all those below it in httpx and httpcore too.
        with trio.CancelScope(shield=True) as closing, suppress(httpx.HTTPError):
            closing.cancel()
            while await anext(self._chunks, None) is not None:
                pass
        with trio.CancelScope(shield=True):
            await self._response.aclose()
            await self._way.leave()


def _stream(response: httpx.Response) -> httpx.AsyncByteStream:
    """The body as it is on the wire, without httpx's generators around it."""
    return cast("httpx.AsyncByteStream", response.stream)


def _token_of(request: httpx.Request) -> str:
    return request.headers["Authorization"].removeprefix("Bearer ")


@contextmanager
def _limited(seconds: float) -> Iterator[trio.CancelScope]:
    """So much time for what is inside. It stands still while a connection is made, which has limits of its own."""
    with trio.fail_after(seconds) as scope:
        before = LIMIT.set(scope)
        try:
            yield scope
        finally:
            LIMIT.reset(before)


@contextmanager
def _as_link_down(seconds: float, silence: float | None = 0, token: str | None = None) -> Iterator[None]:
    hint = "Connections are taken but not answered: look at the API itself, and at load balancers in front of it."
    try:
        yield
    except trio.TooSlowError:
        raise LinkDown(f"no whole answer within {seconds:g} s", hint) from None
    except httpx.ReadTimeout:
        raise LinkDown(f"no answer within {silence:g} s", hint, silent=True) from None
    except httpx.ProxyError as error:
        hint = _proxy_hint(str(error))
        raise LinkDown(f"the proxy refuses: {error}", hint) from error
    except (httpx.HTTPError, h11.ProtocolError, OSError, UnicodeError) as error:  # UnicodeError: a proxy like a..b
        reason = _reason(error)  # may quote what the server has sent
        raise LinkDown(reason.replace(token, _REDACTED) if token else reason, hint) from error


def _proxy_hint(words: str) -> str:
    if words.startswith("407"):
        return "It wants a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT."
    return "Does it allow the API's host and port? NO_PROXY names hosts that are reached without it."


def _reason(error: BaseException) -> str:
    """The innermost cause's words: httpx often has none of its own."""
    words, cause = "", error
    for _ in range(_CAUSES):
        words = words or str(cause)
        inner = cause.__cause__ or cause.__context__
        if inner is None:
            break
        cause = inner
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
