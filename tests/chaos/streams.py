"""The event streams of the chaos API: each that is open gets every command, as with Kubently 2.x.

What is asked for while none is open waits for the next one. The real server would forget it, and the agent never hear
of it; here it is handed out after the faults that the next stream meets.
"""

import json
import math
from collections import deque

import trio

from tests.chaos.record import Known
from tests.chaos.wire import Connection, Gone

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n"
CONNECTED = b'event: connected\r\ndata: {"status": "connected"}\r\n\r\n'
PING = b": ping\r\n\r\n"


class Streams:
    """Those that are open."""

    def __init__(self) -> None:
        self.ping_seconds = 15.0
        self._open: dict[Connection, trio.MemorySendChannel[Known]] = {}
        self._mute: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def unsent(self) -> int:
        """Commands that the slowest of them hasn't been sent yet."""
        return max((send.statistics().current_buffer_used for send in self._open.values()), default=0)

    def push(self, known: Known) -> bool:
        """Send it to each. False if there is none."""
        if self._open:
            known.handed_out.append(trio.current_time())
        for send in self._open.values():
            send.send_nowait(known)
        return bool(self._open)

    def drop(self) -> None:
        """Reset them all."""
        for connection, send in list(self._open.items()):
            del self._open[connection]
            send.close()
            connection.abort()

    def mute(self) -> None:
        """Cut the way half-way: they stay open, and carry neither a byte nor an end."""
        self._mute.update(self._open)

    async def serve(self, connection: Connection, waiting: deque[Known]) -> None:
        """Be a stream until the agent leaves it; first come those that wait."""
        send, receive = trio.open_memory_channel[Known](math.inf)
        self._open[connection] = send
        try:
            while waiting:
                self.push(waiting.popleft())
            await connection.send(HEAD + CONNECTED)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_all, connection, receive)
                await connection.left()
                nursery.cancel_scope.cancel()
        finally:
            self._open.pop(connection, None)
            self._mute.discard(connection)

    async def _send_all(self, connection: Connection, receive: trio.MemoryReceiveChannel[Known]) -> None:
        while True:
            known = None
            with trio.move_on_after(self.ping_seconds):
                try:
                    known = await receive.receive()
                except trio.EndOfChannel:
                    raise Gone from None
            if connection not in self._mute:
                await connection.send(PING if known is None else command_event(known.command))


def command_event(command: object) -> bytes:
    """One command as it goes over the wire."""
    return b"event: command\r\ndata: " + json.dumps(command).encode() + b"\r\n\r\n"
