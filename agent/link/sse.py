"""Server-Sent Events: bytes in as they come, events out. Pure, and bounded whatever comes.

The grammar is the WHATWG HTML standard's, "Server-sent events", "Parsing an event stream": lines end with CRLF, LF or
CR; an empty line ends an event; a line that begins with a colon is a comment; a byte order mark may stand at the very
beginning. The fields `id` and `retry` are read over: the API has no replay, and the agent's pace is its own.

Of the libraries httpx-sse 0.4.3 was weighed: it keeps lines and events of any size in memory, decompresses, leaves the
byte order mark in, and shows nothing of comments, which are the API's signs of life.
"""

from dataclasses import dataclass

MAX_EVENT_BYTES = 256 * 1024
"""The largest event that is kept. The arguments of a command that may run have at most 16 KiB, escaped 96 KiB."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HINT_BYTES = 1  # of a line that is too long so much is kept: it tells whether the line is a comment


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data` is None when it was larger than `MAX_EVENT_BYTES`; nothing of it was kept then."""

    name: str
    data: str | None


class EventParser:
    """The events of one connection. Feed it every byte, in order."""

    def __init__(self) -> None:
        self._line = bytearray()  # the beginning of a line whose end hasn't come
        self._line_too_long = False
        self._after_cr = False
        self._at_beginning = True
        self.begun = False
        """Whether anything has come that a stream of events is made of."""
        self._begin_event()

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes; return the events that they complete."""
        if not chunk:
            return []
        if self._after_cr and chunk.startswith(b"\n"):  # a CRLF that came in two
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        events = []
        for line in chunk.splitlines(keepends=True):  # of bytes: at CR, LF and CRLF only
            content = line.rstrip(b"\r\n")
            self._extend_line(content)
            if len(content) < len(line):
                event = self._end_line()
                if event is not None:
                    events.append(event)
        return events

    def _begin_event(self) -> None:
        self._name = ""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._too_large = False

    def _extend_line(self, content: bytes) -> None:
        if self._line_too_long:
            return
        self._line += content
        if len(self._line) > MAX_EVENT_BYTES:
            del self._line[_HINT_BYTES:]
            self._line_too_long = True

    def _end_line(self) -> Event | None:
        line, too_long = bytes(self._line), self._line_too_long
        self._line.clear()
        self._line_too_long = False
        if self._at_beginning:
            self._at_beginning = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._end_event()
        self.begun = True
        if line.startswith(b":"):
            return None
        if too_long:
            self._drop_data()
        else:
            self._take_field(line)
        return None

    def _take_field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"data" and not self._too_large:
            self._data.append(value)
            self._data_bytes += len(value) + 1
            if self._data_bytes > MAX_EVENT_BYTES:
                self._drop_data()

    def _drop_data(self) -> None:
        self._too_large = True
        self._data.clear()

    def _end_event(self) -> Event | None:
        name, data, too_large = self._name, self._data, self._too_large
        self._begin_event()
        if too_large:
            return Event(name or "message", None)
        if not data:
            return None
        return Event(name or "message", b"\n".join(data).decode("utf-8", "replace"))
