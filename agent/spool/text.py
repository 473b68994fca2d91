"""Output and ids as text: made storable, cut into pieces, measured and summed.

SQLite can't store lone surrogates, and a NUL makes its `length()` and the prompt's display lie. kubectl's output is
decoded without either, but ids and messages come from elsewhere.
"""

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from agent.model import PIECE_CHARS, Command, json_bytes

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
SHOWN_CHARS = 300
"""How much of a command's line is kept for people."""


def clean(text: str) -> str:
    """The same text, with what SQLite can't store or show replaced."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def printable(text: str) -> str:
    """Text for a terminal: control characters, which could steer it, are replaced; line ends stay."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", clean(text))


def shown(command: Command) -> str:
    """A command as people read it, in one line."""
    words = command.args if command.tool == "kubectl" else (command.tool, json.dumps(command.request))
    return printable(" ".join(words)[:SHOWN_CHARS].replace("\n", " "))


def checksum(*parts: object) -> int:
    """A checksum of anything that JSON can hold."""
    return zlib.crc32(json.dumps(parts).encode())


def split(text: str, size: int = PIECE_CHARS) -> Iterator[str]:
    """Pieces of at most so many characters."""
    return (text[at : at + size] for at in range(0, len(text), size))


def prefix(data: bytes) -> str:
    """`data` decoded, without the character that was cut in the middle at its end."""
    return data.decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class Written:
    """What was stored of one stream."""

    parts: int = 0
    bytes: int = 0  # in UTF-8
    json_bytes: int = 0  # the same inside a JSON string (RFC 8259 §7)
    crc: int = 0

    def plus(self, piece: str) -> Self:
        """The same with one more piece."""
        data = piece.encode()
        size, json_size = self.bytes + len(data), self.json_bytes + json_bytes(data)
        return type(self)(self.parts + 1, size, json_size, zlib.crc32(data, self.crc))


NOTHING = Written()
