"""httpx's transport, straight or through a proxy, and when it is replaced by a fresh one."""

from urllib.parse import urlsplit

import httpx
import trio

from agent.config import Config
from agent.errors import ConfigError
from agent.link.network import Network
from agent.link.proxy import proxy_for
from agent.link.tls import tls_context

KEPT_SECONDS = 5.0
"""How long an unused connection is kept. Some NATs forget a flow that was idle for 10 s, and say nothing."""

_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=KEPT_SECONDS)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own, over this room's connections: httpx has no argument for those."""

    def __init__(self, config: Config, network: Network) -> None:
        tls, proxy = tls_context(config), proxy_for(config.api_url)
        way = None
        if proxy is not None:
            url = parsed("The proxy that the environment names", proxy)
            secure = url.scheme == "https" and config.api_url.startswith("https:")
            way = httpx.Proxy(url, ssl_context=tls if secure else None)
        super().__init__(verify=tls, proxy=way, limits=_LIMITS, trust_env=False)
        self._pool._network_backend = network  # noqa: SLF001


class Way:
    """A transport, and how many requests are under way on it. Once it is replaced the last of them closes it."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.transport = transport
        self.replaced = False
        self._users = 0

    def enter(self) -> "Way":
        """A request begins."""
        self._users += 1
        return self

    async def leave(self) -> None:
        """It has ended."""
        self._users -= 1
        await self.close_unused()

    async def close_unused(self) -> None:
        """Close the connections, if nobody uses this any more nor will."""
        if self.replaced and not self._users:
            with trio.CancelScope(shield=True):
                await self.transport.aclose()


def transport_to(config: Config, network: Network) -> httpx.AsyncBaseTransport:
    """The way to the API: straight, or through the proxy that the environment names.

    Raises:
        ConfigError: a certificate file or the proxy can't be used.
    """
    return _Transport(config, network)


def unrooted(url: str) -> tuple[str, str | None]:
    """The URL without a dot at its host's end, and that host: certificates and TLS have names without one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host.endswith("."):
        return url, None
    netloc = host.rstrip(".") + (f":{parts.port}" if parts.port else "")
    return parts._replace(netloc=netloc).geturl(), host.rstrip(".")


def parsed(of_what: str, url: str) -> httpx.URL:
    """The URL, as httpx reads it. Raises ConfigError, and says of what."""
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:  # such as https://10.0.0.300
        raise ConfigError(f"{of_what}: {error}.", "Name a host, or an address that there can be.") from error
