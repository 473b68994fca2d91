"""Through which proxy the API is reached, by the rules of kubectl and other Go programs
(golang.org/x/net/http/httpproxy). In addition ALL_PROXY is read, and NO_PROXY may be separated by blanks, as in curl.
"""

import os
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from agent.errors import ConfigError

_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str) -> str | None:
    """The proxy's URL, by HTTPS_PROXY or HTTP_PROXY, ALL_PROXY, and NO_PROXY for exceptions. None for this machine.
    Raises ConfigError if the variable doesn't name a proxy that can be used.
    """
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS[parts.scheme]
    name = next((n for n in (f"{parts.scheme.upper()}_PROXY", "ALL_PROXY") if _variable(n)), None)
    exceptions = _variable("NO_PROXY").lower().replace(",", " ").split()
    address = _address(host)
    own = host == "localhost" if address is None else address.is_loopback
    if name is None or own or any(_excepts(entry, host, port) for entry in exceptions):
        return None
    proxy = _variable(name)
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(proxy)
        problem = "" if parts.hostname and parts.port != 0 else "its value names no host, or port 0"
        if parts.scheme not in _PORTS:
            problem = f"a proxy of the kind {parts.scheme}:// can't be used, only http:// and https://"
    except ValueError:
        problem = "its value isn't a URL"  # and may hold a password
    if problem:
        raise ConfigError(f"{name}: {problem}.", "For example: http://proxy.example.com:3128")
    return proxy


def proxy_shown(url: str) -> str | None:
    """The proxy's host and port, for a log: without its password."""
    proxy = proxy_for(url)
    return None if proxy is None else urlsplit(proxy).netloc.rpartition("@")[2]


def _variable(name: str) -> str:
    return (os.environ.get(name) or os.environ.get(name.lower()) or "").strip()


def _excepts(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY means this host.

    *              everything
    10.0.0.0/8     a network
    10.1.2.3       an address; [fd00::1] is read too
    example.com    the host and all below it
    .example.com   all below it; *.example.com is the same
    name:8443      any of these but a network, at this port alone
    """
    if entry == "*":
        return True
    address = _address(host)
    with suppress(ValueError):
        network = ip_network(entry, strict=False)  # an address is a network of one
        return address is not None and address in network
    name, colon, its_port = entry.rpartition(":")
    if not colon or not (its_port.isascii() and its_port.isdigit()) or (":" in name and not name.startswith("[")):
        name, its_port = entry, ""
    name = name.strip("[]")
    if not name or (its_port and int(its_port) != port):
        return False
    if address is not None:
        return address == _address(name)
    below = name.removeprefix("*")
    return host.endswith(below if below.startswith(".") else f".{below}") or host == below


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
