"""To the API's host, or to the proxy on the way: name and connection."""

import errno
import os
import socket
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import trio

from agent.check.findings import Area
from agent.link.proxy import proxy_for

NAME_SECONDS = 5.0
CONNECT_SECONDS = 5.0
_MOST_SHOWN = 4
_MOST_TRIED = 4
_HEAD_BYTES = 16_384

_REASONS = {
    errno.ECONNREFUSED: "Nothing listens there: look at the port in KUBENTLY_API_URL, and whether the API runs.",
    errno.EHOSTUNREACH: "There is no way to that host: look at the node's routes and firewalls.",
    errno.ENETUNREACH: "There is no way to that network: look at the node's routes, and at IPv4 against IPv6.",
    errno.ECONNRESET: "Something ended the connection: a firewall, a proxy, or a load balancer without a backend.",
    errno.EACCES: "This system doesn't allow it: look at network policies and seccomp.",
    errno.EPERM: "This system doesn't allow it: look at network policies and seccomp.",
}
_SILENT = (
    "Nothing answers, which a firewall or a network policy does: allow egress to this port "
    "(kustomize/components/network-policy)."
)


@dataclass(frozen=True, slots=True)
class Way:
    """Which host and port to connect to for a URL."""

    host: str
    port: int
    proxy: str | None
    """The proxy's URL, if host and port are a proxy's. See `agent.link.proxy`."""

    @classmethod
    def to(cls, url: str) -> "Way":
        """The way to a URL, by the environment's proxy variables."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = proxy_for(url)
        if proxy is None:
            return cls(host, parts.port or (443 if parts.scheme == "https" else 80), None)
        through = urlsplit(proxy)
        return cls(through.hostname or "", through.port or (443 if through.scheme == "https" else 80), proxy)


async def find(area: Area, way: Way) -> list[str]:
    """The host's addresses; none if it failed."""
    what = f"the proxy {way.host}" if way.proxy else way.host
    try:
        with trio.fail_after(NAME_SECONDS):
            found = await trio.socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)
    except trio.TooSlowError:
        area.failed("name", f"{what}: no DNS answer within {NAME_SECONDS:g} s", _dns_hint())
        return []
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        area.failed("name", f"{what} can't be found: {said}", _dns_hint())
        return []
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    more = f" and {len(addresses) - _MOST_SHOWN} more" if len(addresses) > _MOST_SHOWN else ""
    if addresses == [way.host]:
        area.passed("name", f"{what} is an address, no DNS needed")
    else:
        area.passed("name", f"{what} is {', '.join(addresses[:_MOST_SHOWN])}{more}")
    return addresses


def _dns_hint() -> str:
    return (
        "Is the host in KUBENTLY_API_URL (or in the proxy variables) typed rightly? Does any name resolve here? "
        f"Servers: {_nameservers()}; a network policy must allow port 53, UDP and TCP."
    )


def _nameservers() -> str:
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            servers = [line.split()[1] for line in file if line.startswith("nameserver ")]
    except (OSError, IndexError):
        servers = []
    return ", ".join(servers) or "none in /etc/resolv.conf"


async def connect(area: Area, way: Way, addresses: list[str]) -> str | None:
    """The first address that takes a connection."""
    failures: list[str] = []
    hint = _SILENT
    for address in addresses[:_MOST_TRIED]:
        began = trio.current_time()
        try:
            with trio.fail_after(CONNECT_SECONDS):
                stream = await open_stream(address, way.port)
        except trio.TooSlowError:
            failures.append(f"{address}: no answer within {CONNECT_SECONDS:g} s")
        except OSError as error:
            failures.append(f"{address}: {os.strerror(error.errno or 0)}")
            hint = _REASONS.get(error.errno or 0, _SILENT)
        else:
            took_ms = (trio.current_time() - began) * 1000
            await trio.aclose_forcefully(stream)
            missed = f"; not to {'; '.join(failures)}" if failures else ""
            area.passed("connection", f"to {address} port {way.port} in {took_ms:.0f} ms{missed}")
            return address
    area.failed("connection", f"no connection to port {way.port}: {'; '.join(failures)}", hint)
    return None


async def open_stream(address: str, port: int) -> trio.SocketStream:
    """A plain connection. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        await sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def tunnel(stream: trio.SocketStream, way: Way, host: str, port: int) -> None:
    """Ask the proxy for a tunnel (RFC 9110 §9.3.6). Raises ConnectionError with what it said if it refuses."""
    authority = f"{f'[{host}]' if ':' in host else host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    parts = urlsplit(way.proxy or "")
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}")
    await stream.send_all("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = await stream.receive_some(4096)
        head += chunk
        if not chunk or len(head) > _HEAD_BYTES:
            raise ConnectionError("the proxy ended the connection" if not chunk else "the proxy doesn't speak HTTP")
    status = head.split(b"\r\n", 1)[0].decode("latin-1")
    if status.split()[1:2] != ["200"]:
        raise ConnectionError(f"the proxy refuses: {status[:100]}")
