"""An ASGI app on a loopback port, in a trio task, that can go away and come back on the same port.

Hypercorn's own `serve` leaves sockets open when it is cancelled, and one connection's error ends it all.
So the accept loop is here, and of Hypercorn only what speaks HTTP on one connection is used.
"""

import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState
from hypercorn.utils import wrap_app
from starlette.types import ASGIApp

_log = logging.getLogger("kubently.demo")


@dataclass(frozen=True)
class Tls:
    """For a server that speaks HTTPS."""

    context: ssl.SSLContext
    authority: str
    """The certificate that vouches for it, as PEM, for its clients."""


class Server:
    """Serves `app` on 127.0.0.1. `port` 0 takes a free one, which is kept from then on."""

    def __init__(self, app: ASGIApp, port: int = 0, tls: Tls | None = None) -> None:
        self.port = port
        self.tls = tls
        self._config = _config()
        self._app = wrap_app(cast("ASGIFramework", app), self._config.wsgi_max_body_size, "asgi")
        self._nursery: trio.Nursery | None = None
        self._listening: trio.CancelScope | None = None
        self._silent = trio.Event()

    @property
    def url(self) -> str:
        """Where it listens, or did before it went away."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def up(self) -> bool:
        """Whether connections are accepted now."""
        return self._listening is not None

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started once the port is open."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                await self.start()
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def start(self) -> None:
        """Accept connections, on the port it had before if there was one."""
        if self._nursery is None:
            raise RuntimeError("the server's task isn't running: `await nursery.start(server.serve)` first")
        if self._listening is None:
            await self._nursery.start(self._listen)

    async def stop(self) -> None:
        """Go away at once: open connections are dropped, new ones refused. Returns when that is so."""
        if self._listening is not None:
            self._listening.cancel()
            await self._silent.wait()

    async def _listen(self, *, task_status: trio.TaskStatus[None]) -> None:
        listener: trio.abc.Listener[trio.SocketStream] | trio.SSLListener[trio.SocketStream]
        listener = trio.SocketListener(self._bind())
        if self.tls:
            listener = trio.SSLListener(listener, self.tls.context, https_compatible=True)
        self._silent = trio.Event()
        try:
            with trio.CancelScope() as self._listening:
                async with listener, trio.open_nursery() as connections:
                    connections.start_soon(
                        partial(trio.serve_listeners, self._connection, [listener], handler_nursery=connections)
                    )
                    task_status.started()
        finally:
            self._listening = None
            self._silent.set()

    def _bind(self) -> trio.socket.SocketType:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        plain.bind(("127.0.0.1", self.port))
        plain.listen(256)
        self.port = plain.getsockname()[1]
        return trio.socket.from_stdlib_socket(plain)

    async def _connection(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        # TCPServer is written for TLS streams too, hence its annotation.
        state = ConnectionState(LifespanState({}))
        http = TCPServer(self._app, self._config, WorkerContext(None), state, stream)  # type: ignore[arg-type]
        try:
            await http.run()
        except Exception:  # a client's odd behaviour must not end the server
            _log.exception("connection failed")
        finally:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def serving(*servers: Server) -> AsyncIterator[None]:
    """Serve while the body runs. An error of the body arrives as it is, not wrapped in a group."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        for server in servers:
            await nursery.start(server.serve)
        try:
            yield
        except Exception as error:  # raised again below, outside the nursery
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _config() -> Config:
    config = Config()
    config.errorlog = _log
    config.keep_alive_timeout = 300  # real load balancers keep idle connections for minutes
    config.keep_alive_max_requests = 1_000_000
    config.include_server_header = False
    return config
