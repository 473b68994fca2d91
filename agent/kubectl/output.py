"""What the child prints: bytes from a pipe, turned into text read by read, up to a cap.

However much the child prints, no more than one read of it is in memory. Beyond the cap it is read on and
counted, so that the child can end by itself and the result can say how much there was.
"""

import codecs
import fcntl
import os
from collections.abc import Awaitable, Callable

import trio

READ_BYTES = 64 * 1024
"""Bytes taken from a pipe at once. A pipe holds as much."""


class Text:
    """One stream as text: what isn't UTF-8, and NUL, become U+FFFD, so that every database, JSON reader and
    terminal can hold it. Nothing is ever cut inside a character.
    """

    def __init__(self, max_bytes: int) -> None:
        self.total = 0
        """Bytes fed, those beyond the cap included."""
        self.truncated = False
        """Whether something was beyond the cap."""
        self._room = max_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes, *, last: bool = False) -> str:
        """The text of `data`, as far as the cap (in UTF-8 bytes of that text) allows.

        The bytes of an unfinished character are held back until the next call; with `last` they are given up.
        """
        self.total += len(data)
        if self.truncated:
            return ""
        text = self._decoder.decode(data, last).replace("\0", "\ufffd")
        size = len(text) if text.isascii() else len(text.encode())
        if size > self._room:
            text = text.encode()[: self._room].decode("utf-8", "ignore")
            self.truncated = True
        self._room -= size
        return text


class Pump:
    """Carries one pipe's text to a sink until the pipe is closed, or the child is gone and the pipe is empty.
    `flooded` is called once more than `flood_bytes` have come.

    The second matters when something else holds the pipe open: a process that the child started and that left
    its group. What the child itself had printed is in the pipe when it ends, so no waiting is needed to get
    all of that.
    """

    def __init__(
        self,
        pipe: int,
        text: Text,
        sink: Callable[[str], Awaitable[None]],
        flood_bytes: int,
        flooded: Callable[[], None],
    ) -> None:
        self._pipe = pipe
        self._text = text
        self._sink = sink
        self._flood_bytes = flood_bytes
        self._flooded = flooded
        self._waiting = trio.CancelScope()
        self._left: int | None = None
        os.set_blocking(pipe, False)

    async def run(self) -> None:
        """Returns at the end of the output. Raises what the sink raises."""
        while data := await self._read():
            if text := self._text.feed(data):
                await self._sink(text)
            if self._text.total > self._flood_bytes:
                self._flooded()
        if text := self._text.feed(b"", last=True):
            await self._sink(text)

    def child_is_gone(self) -> None:
        """From now on take what is in the pipe and no more: at most what a pipe holds, whoever goes on
        writing.
        """
        self._left = fcntl.fcntl(self._pipe, fcntl.F_GETPIPE_SZ) if hasattr(fcntl, "F_GETPIPE_SZ") else READ_BYTES
        self._waiting.cancel()

    async def _read(self) -> bytes:
        await trio.lowlevel.checkpoint()  # a child that prints without pause must not keep others waiting
        while self._left is None or self._left > 0:
            try:
                data = os.read(self._pipe, READ_BYTES)
            except BlockingIOError:
                if self._left is not None:
                    break
                with self._waiting:
                    await trio.lowlevel.wait_readable(self._pipe)
                if self._left is None:
                    self._waiting = trio.CancelScope()
            else:
                if self._left is not None:
                    self._left -= len(data)
                return data
        return b""
