"""HTTP to the central API: one client, one TLS context, limits on everything. Only this file and wire.py import httpx.

What this room protects from, each seen in the wild or measured:

- Redirects are never followed: the token would go wherever they point.
- The API's words go into the log and the spool, so the token is taken out of them: somebody may send it back.
- Answers are read up to a bound, as they are on the wire: nothing is decompressed, so no bomb can go off.
- The connections have no limit of their own. With one, httpcore on trio leaked a slot for good whenever a request was
  cancelled while it waited for the pool (httpcore 1.0.9, trio 0.35, measured). Who sends how much is bounded above.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import cast

import trio

from agent import __version__
from agent.config import Config
from agent.errors import ConfigError, LinkDown
from agent.lean import without
from agent.link.answer import Answer, from_api, unhappy
from agent.link.compress import takes_gzip
from agent.link.proxy import proxy_for
from agent.link.tls import tls_context
from agent.link.token import Token

with without("httpx._main"):
    import httpx

    from agent.link.wire import IDLE_MOST, IDLE_SECONDS, Wire

MAX_BODY_BYTES = 3 * 1024 * 1024
"""The largest answer that is read: 10,000 commands of 300 bytes. Parsed, one of nothing but `{}` takes 30 times its
size (8 MiB took 272, measured), and the pod has 256."""

CONNECT_SECONDS = 5.0
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=IDLE_MOST, keepalive_expiry=IDLE_SECONDS)
_CAUSES = 8  # how deep an error's causes are looked into; contexts may even go round in a circle
_REDACTED = "(token)"


class Http:
    """The client. Every request carries the token, the cluster's id and the agent's version.

    Raises:
        ConfigError: a certificate file, the URL or the proxy can't be used.
    """

    def __init__(self, config: Config) -> None:
        self.token = Token(config.token, config.token_file)
        self._base = config.api_url
        _parsed("KUBENTLY_API_URL", self._base)  # what is wrong with it is said once, not at each request
        self._begun: set[trio.CancelScope] = set()
        # The transport alone: a client around it would look for redirects, cookies and passwords that are never wanted,
        # and parse every URL anew, which together take a third of a request's time.
        self._transport = transport_to(config)
        # httpx's own Accept, Accept-Encoding and Connection say nothing here and cost 70 bytes a request.
        self._headers = {"User-Agent": f"kubently-agent/{__version__}", "X-Cluster-ID": config.cluster_id}
        self._urls: dict[str, httpx.URL] = {}
        self.takes_gzip = False
        """Whether the API says that bodies may be compressed."""
        self._gzip_refused = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        read_seconds: float | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request and its whole answer.

        Args:
            method: GET or POST.
            path: from the API's base on, with its query.
            seconds: the limit of everything together.
            read_seconds: how long the answer may be silent; by default as long as everything together.
            body: JSON, whole or in pieces.
            length: the body's size in bytes, if it comes in pieces.
            headers: more headers.

        Raises:
            LinkDown: no answer, or not the API's: HTML, a redirect, or larger than `MAX_BODY_BYTES`.
        """
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = "application/json"
        if length is not None:
            sent["Content-Length"] = str(length)
        silence = read_seconds or seconds
        request = self._request(method, path, sent, httpx.Timeout(silence, connect=CONNECT_SECONDS, pool=None), body)
        too_slow = f"no whole answer within {seconds:g} s"
        with _as_link_down(too_slow, silence, _token_of(request)), trio.fail_after(seconds):
            response = await self._transport.handle_async_request(request)
            answer = from_api(await self._whole(response, seconds, _token_of(request)))
        if "accept-encoding" in answer.headers:
            self.takes_gzip = takes_gzip(answer.headers["accept-encoding"]) and not self._gzip_refused
        return answer

    def refuses_gzip(self) -> None:
        """A compressed body wasn't taken: believe nothing else from now on."""
        self._gzip_refused = True
        self.takes_gzip = False

    async def open_stream(self, path: str, *, media_type: str, seconds: float) -> "OpenStream":
        """Begin a GET whose answer has no end.

        Args:
            path: from the API's base on.
            media_type: what the answer must be.
            seconds: the limit until it has begun.

        Raises:
            LinkDown: no answer, or another one.
        """
        sent = {"Accept": media_type, "Accept-Encoding": "identity"}
        request = self._request("GET", path, sent, httpx.Timeout(None, connect=CONNECT_SECONDS))
        token = _token_of(request)
        with _as_link_down(f"no answer within {seconds:g} s", token=token), trio.fail_after(seconds):
            response = await self._transport.handle_async_request(request)
            if response.status_code != 200:
                raise unhappy(from_api(await self._whole(response, seconds, token)))
        got = response.headers.get("content-type", "no content type").partition(";")[0].strip()
        coding = response.headers.get("content-encoding", "identity")
        if got.lower() != media_type or coding != "identity":
            await response.aclose()
            raise LinkDown(f"HTTP 200 with {got} ({coding}) where {media_type} was expected", status=200)
        return OpenStream(response)

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
        return httpx.Request(method, self._url(path), headers=sent, content=body, extensions=extensions)

    def _url(self, path: str) -> httpx.URL:
        """Parsed once: there are half a dozen paths, and parsing one takes longer than sending it."""
        if path not in self._urls:
            self._urls[path] = httpx.URL(self._base + path)
        return self._urls[path]

    async def _whole(self, response: httpx.Response, seconds: float, token: str) -> Answer:
        # Once an answer has begun it is read to its end, even if the agent is being stopped: it may hold commands, and
        # the API has already counted them as handed out.
        body = bytearray()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + seconds) as reading:
            self._begun.add(reading)
            try:
                async for chunk in _stream(response):
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        reading.cancel()  # leaves httpx's generators in order, which a plain break doesn't
                if len(body) <= MAX_BODY_BYTES:
                    if response.status_code != 200:  # then people are told its words
                        body = body.replace(token.encode(), _REDACTED.encode())
                    return Answer(response.status_code, response.headers, bytes(body))
            finally:
                self._begun.discard(reading)
                await response.aclose()
        if len(body) > MAX_BODY_BYTES:
            raise LinkDown(
                f"HTTP {response.status_code} with more than {MAX_BODY_BYTES >> 20} MiB: not the API's answer",
                status=response.status_code,
            )
        raise trio.TooSlowError

    def abandon(self) -> None:
        """Give up the answers that have begun: the agent must end, and a server may take its time."""
        for reading in self._begun:
            reading.cancel()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


class OpenStream:
    """An answer without an end, read as it comes. Not decompressed, and nothing of it is kept."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._chunks = aiter(_stream(response))

    async def read(self) -> bytes | None:
        """The next bytes, at most 64 KiB; None at the end. Can't be read any more once it was cancelled.

        Raises:
            LinkDown: the connection is lost.
        """
        with _as_link_down("connection lost"):
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


def transport_to(config: Config) -> httpx.AsyncBaseTransport:
    """The way to the API: straight, or through the proxy that the environment names.

    Raises:
        ConfigError: a certificate file or the proxy can't be used.
    """
    tls, proxy = tls_context(config), proxy_for(config.api_url)
    if proxy is None:
        return Wire(tls)
    url = _parsed("The proxy that the environment names", proxy)
    with without("anyio", "h2", "socksio"):
        return httpx.AsyncHTTPTransport(verify=tls, proxy=url, limits=_LIMITS)


def _parsed(of_what: str, url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:  # such as https://10.0.0.300
        raise ConfigError(f"{of_what}: {error}.", "Name a host, or an address that there can be.") from error


def _stream(response: httpx.Response) -> httpx.AsyncByteStream:
    """The body as it is on the wire, without httpx's generators around it."""
    return cast("httpx.AsyncByteStream", response.stream)


def _token_of(request: httpx.Request) -> str:
    return request.headers["Authorization"].removeprefix("Bearer ")


@contextmanager
def _as_link_down(too_slow: str, silence: float = 0, token: str | None = None) -> Iterator[None]:
    try:
        yield
    except trio.TooSlowError:
        raise LinkDown(too_slow) from None
    except httpx.ReadTimeout:
        raise LinkDown(f"no answer within {silence:g} s", silent=True) from None
    except (httpx.HTTPError, OSError, UnicodeError) as error:  # UnicodeError: a proxy like a..b
        reason = _reason(error)  # may quote what the server has sent
        raise LinkDown(reason.replace(token, _REDACTED) if token else reason) from error


def _reason(error: BaseException) -> str:
    """The innermost cause's words: httpx often has none of its own. An untrusted certificate goes first."""
    words, cause = "", error
    for _ in range(_CAUSES):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the API's certificate isn't trusted: {cause.verify_message}; `kubently-agent check` knows more"
        words = words or str(cause)
        inner = cause.__cause__ or cause.__context__
        if inner is None:
            break
        cause = inner
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
