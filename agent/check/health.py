"""The port of the probes and metrics."""

import errno
import socket
from dataclasses import dataclass

import trio

from agent.check.findings import Area
from agent.config import Config

CHECKS = ("port",)
ANSWER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


async def check_health(area: Area, config: Config) -> None:
    """Whether the port is free, or taken by an agent that runs."""
    address = _Address(*config.health_address)
    try:
        await _bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            words = f"{address} can't be listened at: {error.strerror}"
            area.failed(
                "port", words, "Name an address of this machine and a port above 1023 with KUBENTLY_HEALTH_ADDRESS."
            )
        elif await _is_agent(address):
            area.passed("port", f"{address}: a running agent answers there")
        else:
            area.failed(
                "port",
                f"{address} is taken by another program",
                "Name a free one with KUBENTLY_HEALTH_ADDRESS; the probes in the Deployment must name the same.",
            )
    else:
        area.passed("port", f"{address} is free for /livez, /readyz and /metrics")


async def _bind(address: _Address) -> None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with trio.socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await sock.bind((address.host, address.port))
        sock.listen(1)


async def _is_agent(address: _Address) -> bool:
    """Whether /livez there is an agent's."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address.host, address.host)  # noqa: S104
    question = f"GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
    answer = b""
    with trio.move_on_after(ANSWER_SECONDS):
        try:
            async with await trio.open_tcp_stream(host, address.port) as stream:
                await stream.send_all(question)
                async for chunk in stream:
                    answer += chunk
                    if len(answer) > 1 << 20:
                        break
        except (OSError, trio.BrokenResourceError):
            return False
    return b"kubently_" in answer
