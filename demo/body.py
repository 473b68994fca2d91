"""Reads a JSON body of any size as it arrives: the bytes go to a file, long strings stay out of memory."""

import codecs
import hashlib
import json
import re
import tempfile
from pathlib import Path

MEMORY_BYTES = 1024 * 1024
"""A body up to this size is kept in memory, a larger one in a file."""

LONG_STRING_BYTES = 256 * 1024
"""Of a longer string only the beginning is in the parsed value."""

_INSIDE = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
# Not possessive as a whole: Python 3.11.2, which Debian 12 has, then gives back an escape that it had matched.
_ESCAPE_BYTES = 6  # \uXXXX: what may lie across two chunks


class BadBody(ValueError):  # noqa: N818  # reads as what it says
    """The body isn't JSON in UTF-8."""


class Body:
    """Feed it the chunks, then `parse()` once."""

    def __init__(self, folder: Path) -> None:
        self.bytes = 0
        self.shortened = False
        self._kept = tempfile.SpooledTemporaryFile(MEMORY_BYTES, "w+b", dir=str(folder))  # noqa: SIM115  # see close
        self._digest = hashlib.sha256()
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._outline = bytearray()  # the body with its long strings cut
        self._carried = b""
        self._in_string = False
        self._string_bytes = 0
        self._fault: BadBody | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the raw bytes: equal digests mean that the same result was sent again."""
        return self._digest.hexdigest()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. That they can't be JSON is remembered for `parse`."""
        self.bytes += len(chunk)
        self._digest.update(chunk)
        self._kept.write(chunk)
        if self._fault is not None:
            return
        try:
            self._utf8.decode(chunk)
            self._outline_of(self._carried + chunk)
        except UnicodeDecodeError:
            self._fault = BadBody("the body isn't UTF-8")
        except BadBody as error:
            self._fault = error

    def parse(self) -> object:
        """The value, its long strings cut. Raises BadBody."""
        if self._fault is not None:
            raise self._fault
        try:
            self._utf8.decode(b"", final=True)
            return json.loads(self._outline.decode("utf-8", "replace"), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise BadBody(f"the body isn't JSON: {error}") from error

    def raw(self) -> bytes:
        """All of it. For a test that wants to look; mind the size."""
        self._kept.seek(0)
        return bytes(self._kept.read())

    def close(self) -> None:
        """Remove the file."""
        self._kept.close()

    def _outline_of(self, data: bytes) -> None:
        position = 0
        self._carried = b""
        while position < len(data):
            if self._in_string:
                position = self._in(data, position)
                if self._carried:
                    return
            else:
                quote = data.find(b'"', position)
                end = len(data) if quote < 0 else quote + 1
                self._outline += data[position:end]
                self._in_string, self._string_bytes, position = quote >= 0, 0, end

    def _in(self, data: bytes, position: int) -> int:
        match = _INSIDE.match(data, position)
        end = match.end() if match else position
        self._string_bytes += end - position
        if self._string_bytes <= LONG_STRING_BYTES:
            self._outline += data[position:end]
        if end == len(data):
            return end
        if data[end] == ord('"'):
            if self._string_bytes > LONG_STRING_BYTES:
                self.shortened = True
                self._outline += f" [... {self._string_bytes} bytes in all]".encode()
            self._outline += b'"'
            self._in_string = False
            return end + 1
        if data[end] == ord("\\") and len(data) - end < _ESCAPE_BYTES:
            self._carried = data[end:]
            return len(data)
        raise BadBody("the body isn't JSON: a control character or a wrong escape in a string")


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} isn't JSON")
