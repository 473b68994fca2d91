"""HTTP to the central API: one way there, one TLS context, limits on everything."""

import zlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, nullcontext, suppress
from functools import cache
from typing import cast
from urllib.parse import urlsplit

import h11
import httpx
import trio

from agent import __version__
from agent.config import Config
from agent.errors import ConfigError, LinkDown
from agent.link.answer import ELSEWHERE, Answer, from_api, unhappy
from agent.link.credentials import Token, tls_context
from agent.link.network import CONNECT_SECONDS, NAME_SECONDS, TLS_SECONDS, Network, StaleConnection
from agent.link.proxy import proxy_for
from agent.link.sse import Event, EventParser
from agent.log import Log
from agent.settings import FileWatch

log = Log("link")

MAX_BODY_BYTES = 3 * 1024 * 1024
"""The largest answer that is read: 10,000 commands of 300 bytes. One made of nothing but `{}` takes 30 times its size
when it is parsed (8 MiB took 272, measured), and the pod has 256."""

CONNECTING_SECONDS = NAME_SECONDS + CONNECT_SECONDS + TLS_SECONDS
WHOLE_SECONDS = 10.0
"""A request may last for the time to connect, to send it at 1 KiB/s and to be answered, and 10 s more; and once its
answer has begun, no longer than these."""

_KEPT = httpx.Limits(keepalive_expiry=5.0)
"""An unused connection is kept for 5 s: some NATs silently forget a flow that was idle for 10 s. Their number has no
limit. With one, httpcore on trio leaked a slot for good whenever a request was cancelled while it waited for the pool
(httpcore 1.0.9, trio 0.35, measured). The callers bound how much is sent at once."""

_FAULTS = (trio.TooSlowError, httpx.HTTPError, h11.ProtocolError, OSError)
_REDACTED = "(token)"
EVENTS = "text/event-stream"

Headers = Mapping[str, str] | None
Chunks = AsyncGenerator[bytes, None]
Body = bytes | Callable[[], Chunks]  # JSON, whole or in pieces read while it is sent; called again to send it again


class Http:
    """The client. Every request carries the token, the cluster's id and the agent's version. Raises ConfigError."""

    def __init__(self, config: Config) -> None:
        self.token = Token(config.token, config.token_file)
        self._config = config
        self._certificates = FileWatch(config.ca_cert, config.client_cert, config.client_key)
        self._certificates.changed()
        proxy = proxy_for(config.api_url)
        way = None if proxy is None else httpx.Proxy(_parsed("The proxy that the environment names", proxy))
        _parsed("KUBENTLY_API_URL", config.api_url)  # what is wrong with it is said once, not at each request
        self.network = Network(tls_context(config), proxy=way is not None)
        # The transport alone: a client around it would look for redirects, cookies and passwords that are never wanted,
        # and parse every URL anew, which together take a third of a request's time.
        self._transport = httpx.AsyncHTTPTransport(verify=self.network.tls, proxy=way, limits=_KEPT, trust_env=False)
        self._transport._pool._network_backend = self.network  # noqa: SLF001  # httpx has no argument for it
        self._url = cache(lambda path: httpx.URL(config.api_url + path))  # parsing one takes longer than sending it
        self._headers = {
            "Host": urlsplit(config.api_url).netloc.replace(".:", ":").rstrip("."),  # as certificates have it
            "User-Agent": f"kubently-agent/{__version__}",
            "X-Cluster-ID": config.cluster_id,
            "Accept-Encoding": "identity",
        }

    async def request(
        self, method: str, path: str, *, seconds: float, body: Body = b"", length: int = 0, headers: Headers = None
    ) -> Answer:
        """One request and its whole answer. On a kept connection that turns out to be dead it is sent again. `path`
        goes on from the API's base. The answer may be silent for `seconds`, once connected and all is sent. A body in
        pieces has `length` bytes together. Raises LinkDown if there is no answer, or it isn't the API's.
        """
        length = len(body) if isinstance(body, bytes) else length
        sent = dict(headers or {})
        if body:
            sent |= {"Content-Type": "application/json", "Content-Length": str(length)}
        limit = seconds + WHOLE_SECONDS + length / 1024 + CONNECTING_SECONDS
        while True:
            token, began = self.token.current(), trio.current_time()
            try:
                async with aclosing(body()) if callable(body) else nullcontext(body) as content:
                    request = self._request(method, path, token, sent, content, seconds)
                    with trio.move_on_after(limit) as scope:
                        response = await self._transport.handle_async_request(request)
                        return await self._whole(response, scope, token, began)
                    raise trio.TooSlowError
            except StaleConnection:
                self.network.renew()  # the other kept ones are as old, and a new one is never stale
            except _FAULTS as error:
                if isinstance(error, httpx.ReadTimeout):
                    self.network.renew()
                raise _link_down(error, token, seconds) from error

    async def open_stream(self, path: str, *, seconds: float) -> "OpenStream":
        """Begin a GET whose answer is a stream of events, on a connection of its own. `seconds` are the limit until it
        has begun, once connected. Raises LinkDown if there is no answer, or another one.
        """
        self.network.renew()
        token, began = self.token.current(), trio.current_time()
        request = self._request("GET", path, token, {"Accept": EVENTS}, b"", seconds)
        try:
            with trio.fail_after(seconds + CONNECTING_SECONDS) as scope:
                response = await self._transport.handle_async_request(request)
                if response.status_code != 200:
                    raise unhappy(await self._whole(response, scope, token, began))
        except _FAULTS as error:
            raise _link_down(error, token, seconds) from error
        request.extensions["timeout"]["read"] = None  # httpcore looks at it anew: whoever reads on has limits
        stream = OpenStream(response, token)
        got = response.headers.get("content-type", "no content type").partition(";")[0].strip()
        coding = response.headers.get("content-encoding", "identity")
        if got.lower() == EVENTS and coding == "identity":
            return stream
        await stream.aclose()
        raise LinkDown(f"HTTP 200 with {got} ({coding}) where {EVENTS} was expected", ELSEWHERE, status=200)

    def _request(
        self, method: str, path: str, token: str, headers: dict[str, str], content: bytes | Chunks, seconds: float
    ) -> httpx.Request:
        """The request. Certificates that have changed count from here on."""
        if self._certificates.changed():
            try:
                self.network.tls = tls_context(self._config)
                self.network.renew()
                log.info("certificates read again")
            except ConfigError as error:
                log.warning("certificates can't be used, the old ones stay", reason=error.problem, todo=error.hint)
        sent = {**self._headers, "Authorization": f"Bearer {token}", **headers}
        more = {"timeout": {"read": seconds}}
        # From mere bytes httpx works out headers that are there already, which takes longer than all else here.
        stream = httpx.ByteStream(content) if isinstance(content, bytes) else None
        return httpx.Request(method, self._url(path), headers=sent, content=content, stream=stream, extensions=more)

    async def _whole(self, response: httpx.Response, scope: trio.CancelScope, token: str, began: float) -> Answer:
        # Once an answer has begun it is read to its end, even if the agent is being stopped: it may hold commands, and
        # the API has already counted them as handed out.
        now, body, status = trio.current_time(), bytearray(), response.status_code
        scope.shield, scope.deadline = True, min(scope.deadline, now + WHOLE_SECONDS)
        try:
            async for chunk in _chunks(response):
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    problem = f"HTTP {status} with more than {MAX_BODY_BYTES >> 20} MiB: not the API's answer"
                    raise LinkDown(problem, ELSEWHERE, status=status)
        finally:
            await response.aclose()
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity":  # some proxies compress all the same, and the answer may hold commands
            unpack = zlib.decompressobj(wbits=47)  # gzip or zlib, by its head
            with suppress(zlib.error):
                body = bytearray(unpack.decompress(bytes(body), MAX_BODY_BYTES))
            if not unpack.eof:
                problem = f"HTTP {status}, coded as {coding[:40]!r} though Accept-Encoding says identity"
                hint = "Something on the way compresses answers: switch that off for the API."
                raise LinkDown(problem, hint, status=status)
        if status == 204 and response.headers.get("content-length", "0") != "0":
            self.network.renew()  # some servers send `null` all the same, which would be taken for the next answer
        if status in {401, 403}:
            self.token.reread()
        # People are told its words, and somebody may send the token back.
        said = bytes(body.replace(token.encode(), _REDACTED.encode()))
        return from_api(Answer(status, response.headers, said, now - began))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


class OpenStream:
    """A stream of events, read as it comes."""

    def __init__(self, response: httpx.Response, token: str) -> None:
        self.token = token  # the one that it was opened with
        self.since = trio.current_time()
        self.parser = EventParser()
        self._response = response
        self._chunks = _chunks(response)

    async def read(self, silence: float) -> list[Event]:
        """The events that come next, none with a mere sign of life. Raises LinkDown if the stream has ended, or nothing
        came for `silence` seconds: it can't be read any more then.
        """
        try:
            with trio.fail_after(silence):
                chunk = await anext(self._chunks, None)
        except trio.TooSlowError:
            hint = "Does a proxy or an ingress buffer it? Switch that off there (nginx: proxy_buffering off)."
            raise LinkDown(f"the stream began, and then nothing came for {silence:g} s", hint) from None
        except _FAULTS as error:
            raise _link_down(error, self.token) from error
        if chunk is None:
            raise LinkDown("the API has ended the stream")
        return self.parser.feed(chunk)

    async def aclose(self) -> None:
        """Close the connection, at once, even when cancelled."""
        with trio.CancelScope(shield=True):
            await self._chunks.aclose()
            await self._response.aclose()


def _parsed(of_what: str, url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:  # such as https://10.0.0.300
        raise ConfigError(f"{of_what}: {error}.", "Name a host, or an address that there can be.") from error


def _chunks(response: httpx.Response) -> Chunks:
    """The body as it is on the wire, without httpx's own readers around it."""
    return cast("Chunks", cast("httpx.AsyncByteStream", response.stream).__aiter__())


def _link_down(error: Exception, token: str, silence: float = 0) -> LinkDown:
    """What people are told of a fault; `silence` in seconds."""
    hint = "Connections are taken but not answered: look at the API itself, and at load balancers in front of it."
    if isinstance(error, trio.TooSlowError):
        return LinkDown("no whole answer in time", hint)
    if isinstance(error, httpx.ReadTimeout):
        return LinkDown(f"no answer within {silence:g} s", hint)
    if isinstance(error, httpx.ProxyError):
        hint = "Does it allow the API's host and port? NO_PROXY names hosts that are reached without it."
        if str(error).startswith("407"):
            hint = "It wants a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT."
        return LinkDown(f"the proxy refuses: {error}", hint)
    reason = f"{type(error).__name__}: {error}"  # may quote what the server has sent
    return LinkDown(reason.replace(token, _REDACTED), hint)
