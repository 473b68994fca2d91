"""Through which proxy the API is reached."""

import urllib.request
from urllib.parse import urlsplit

from agent.errors import ConfigError


def proxy_for(url: str) -> str | None:
    """The proxy's URL, by the usual variables: HTTPS_PROXY or HTTP_PROXY, ALL_PROXY, and NO_PROXY for exceptions.

    Raises:
        ConfigError: the variable doesn't name a proxy that can be used.
    """
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    scheme = parts.scheme if proxies.get(parts.scheme) else "all"
    proxy = proxies.get(scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if problem := _problem(proxy):
        # Its value may hold a password.
        raise ConfigError(f"{scheme.upper()}_PROXY: {problem}.", "For example: http://proxy.example.com:3128")
    return proxy


def proxy_shown(url: str) -> str | None:
    """The proxy's host and port, for a log: without its password."""
    proxy = proxy_for(url)
    return None if proxy is None else urlsplit(proxy).netloc.rpartition("@")[2]


def _problem(proxy: str) -> str | None:
    try:
        parts = urlsplit(proxy)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "its value isn't a URL"
    if parts.scheme not in {"http", "https"}:
        return f"a proxy of the kind {parts.scheme}:// can't be used, only http:// and https://"
    return None if host and port != 0 else "its value names no host, or port 0"
