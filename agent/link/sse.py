"""Server-Sent Events: bytes in as they come, events out. Pure, and its memory is bounded.

The grammar is the WHATWG HTML standard's, "Server-sent events", "Parsing an event stream": lines end with CRLF, LF or
CR; an empty line ends an event; a line that begins with a colon is a comment. The fields `id` and `retry` are ignored:
the API has no replay, and the agent's pace is its own.

httpx-sse 0.4.3 was considered: it keeps lines and events of any size in memory, decompresses, and shows nothing of
comments, which are the API's signs of life.
"""

MAX_EVENT_BYTES = 256 * 1024  # a larger event isn't kept: the arguments of a command have at most 16 KiB, escaped 96
Event = tuple[str, str | None]  # its name, and its data or, if that was larger than `MAX_EVENT_BYTES`, None


class EventParser:
    """The events of one connection. Feed it every byte, in order."""

    def __init__(self) -> None:
        self.begun = False  # whether anything of an event stream has arrived
        self._line = bytearray()  # the beginning of a line whose end hasn't come
        self._after_cr = False
        self._name = ""
        self._data: bytearray | None = None  # each line with its end

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes; return the events that they complete."""
        if self._after_cr and chunk.startswith(b"\n"):  # a CRLF that came in two
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        events = []
        for part in chunk.splitlines(keepends=True):  # of bytes: at CR, LF and CRLF only
            text = part.rstrip(b"\r\n")
            self._line += text[: MAX_EVENT_BYTES + len(b"data: ") - len(self._line)]
            if len(text) < len(part):
                events += self._end_line()
        return events

    def _end_line(self) -> list[Event]:
        line = bytes(self._line)
        self._line.clear()
        if not line:
            name, data = self._name or "message", self._data
            self._name, self._data = "", None
            if data is None:
                return []
            return [(name, None if len(data) > MAX_EVENT_BYTES else data[:-1].decode("utf-8", "replace"))]
        self.begun = True
        field, _, value = line.partition(b":")
        if field == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", "replace")
        elif field == b"data":
            self._data = self._data or bytearray()
            if len(self._data) <= MAX_EVENT_BYTES:
                self._data += value.removeprefix(b" ") + b"\n"
        return []
