"""A bad line between an agent and its API: slow, far away, and lossy."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

PACKET_BYTES = 1400
BUFFERED_BYTES = 64 * 1024
"""How much may be on its way in each direction of a connection, as in a router's queue."""


class Line:
    """Forwards connections. All share the bandwidth of a direction, packet by packet.

    Args:
        port: the API's, on this machine.
        bytes_per_second: in each direction.
        delay: seconds from one end to the other.
        loss: the part of packets that is lost. Each stalls its connection for `resend` seconds.
        packet: bytes that travel as one.
    """

    def __init__(
        self,
        port: int,
        *,
        bytes_per_second: float,
        delay: float = 0.0,
        loss: float = 0.0,
        resend: float = 1.0,
        packet: int = PACKET_BYTES,
        seed: int = 1,
    ) -> None:
        self._port = port
        self._bytes_per_second = bytes_per_second
        self._delay = delay
        self._loss = loss
        self._resend = resend
        self._packet = packet
        self._chance = random.Random(seed)
        self._free = {"up": trio.Lock(), "down": trio.Lock()}
        self.carried = {"up": 0, "down": 0}
        """Bytes, to the API and back."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Carry connections until the end; gives the URL of its near end."""
        with trio.socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)  # what waits, waits at the sender
            await sock.bind(("127.0.0.1", 0))
            sock.listen()
            async with trio.open_nursery() as nursery:
                listener = trio.SocketListener(sock)
                nursery.start_soon(trio.serve_listeners, self._carry, [listener])
                yield f"http://127.0.0.1:{sock.getsockname()[1]}"
                nursery.cancel_scope.cancel()

    async def _carry(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", self._port)
        async with far, trio.open_nursery() as nursery:
            nursery.start_soon(self._one_way, "up", near, far)
            await self._one_way("down", far, near)
            nursery.cancel_scope.cancel()

    async def _one_way(self, way: str, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        most = max(1, BUFFERED_BYTES // self._packet)
        send, receive = trio.open_memory_channel[tuple[float, bytes]](most)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._arrive, receive, sink)
            async with send:
                while data := await _read(source, self._packet):
                    async with self._free[way]:
                        await trio.sleep(len(data) / self._bytes_per_second)
                    self.carried[way] += len(data)
                    lost = self._resend if self._chance.random() < self._loss else 0.0
                    try:
                        await send.send((trio.current_time() + self._delay + lost, data))
                    except trio.BrokenResourceError:  # nobody is there any more
                        return

    async def _arrive(self, receive: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream) -> None:
        async with receive:
            async for at, data in receive:
                await trio.sleep_until(at)
                try:
                    await sink.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return
        try:
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


async def _read(source: trio.SocketStream, most: int) -> bytes:
    try:
        return bytes(await source.receive_some(most))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""
