"""Server-Sent Events: bytes in as they come, events out. Pure, and its memory is bounded.

The grammar is the WHATWG HTML standard's, "Server-sent events", "Parsing an event stream": lines end with CRLF, LF or
CR; an empty line ends an event; a line that begins with a colon is a comment; a byte order mark may stand at the very
beginning. The fields `id` and `retry` are ignored: the API has no replay, and the agent's pace is its own.

httpx-sse 0.4.3 was considered: it keeps lines and events of any size in memory, decompresses, leaves the byte order
mark in, and shows nothing of comments, which are the API's signs of life.
"""

from dataclasses import dataclass

MAX_EVENT_BYTES = 256 * 1024
"""The largest event that is kept. The arguments of a command that may run have at most 16 KiB, escaped 96 KiB."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data` is None when it was larger than `MAX_EVENT_BYTES`; nothing of it was kept then."""

    name: str
    data: str | None


class EventParser:
    """The events of one connection. Feed it every byte, in order."""

    def __init__(self) -> None:
        self.begun = False
        """Whether anything of an event stream has arrived."""
        self._line = bytearray()  # the beginning of a line whose end hasn't come
        self._after_cr = False
        self._first = True
        self._name = ""
        self._data: bytearray | None = None  # each line with its end
        self._too_large = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes; return the events that they complete."""
        if not chunk:
            return []
        if self._after_cr and chunk.startswith(b"\n"):  # a CRLF that came in two
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        events = []
        for part in chunk.splitlines(keepends=True):  # of bytes: at CR, LF and CRLF only
            text = part.rstrip(b"\r\n")
            self._line += text[: MAX_EVENT_BYTES + 1 - len(self._line)]
            if len(text) < len(part):
                events += self._end_line()
        return events

    def _end_line(self) -> list[Event]:
        line = bytes(self._line)
        self._line.clear()
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._end_event()
        self.begun = True
        field, _, value = line.partition(b":")
        if field and len(line) > MAX_EVENT_BYTES:
            self._too_large = True
        elif field == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", "replace")
        elif field == b"data" and not self._too_large:
            self._data = self._data or bytearray()
            self._data += value.removeprefix(b" ") + b"\n"
            self._too_large = len(self._data) > MAX_EVENT_BYTES
        return []

    def _end_event(self) -> list[Event]:
        name, data, too_large = self._name or "message", self._data, self._too_large
        self._name, self._data, self._too_large = "", None, False
        if too_large:
            return [Event(name, None)]
        return [] if data is None else [Event(name, data[:-1].decode("utf-8", "replace"))]
