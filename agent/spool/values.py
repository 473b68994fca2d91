"""What the spool takes and gives, and how text is made storable.

SQLite can't store lone surrogates, and a NUL makes its `length()` and the prompt's display lie. kubectl's output is
decoded without either, but ids and messages come from elsewhere.
"""

import json
import re
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from agent.model import PIECE_CHARS, Result, Stream, json_bytes

STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")
Utf8 = bytes  # two classes here have an attribute of that name
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

SMALL_BYTES = 64 * 1024  # results with at most so much output overtake a large one that takes its time


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a spool, as configured; the disk may limit it further."""

    max_bytes: int  # of all its files together: database, write-ahead log, ballast, and damaged ones put aside
    retention_seconds: float = 86_400.0  # how long a delivered or rejected result is remembered
    journal: int = 8  # how many commands may wait or run here at a time; others stay at the API
    output_bytes: int = 10 * 1024 * 1024  # of one command, at most. Room for it is kept free for each that runs
    rerun_seconds: float = 300.0  # after a crash a younger command runs again, and an older one is answered


@dataclass(slots=True)
class Recovery:
    """What was found when the spool was opened, and what became of it."""

    rerun: int = 0  # unfinished commands that will run again
    interrupted: int = 0  # unfinished commands that were too old for that
    gave_up: int = 0  # commands during which the agent died twice
    damage: str | None = None  # what was wrong with the file, in a sentence
    moved_aside: Path | None = None  # where the damaged file is now
    salvaged: int = 0  # commands and results brought over from it
    damaged: int = 0  # of these, the ones that have an error for a result now


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of a batch of commands, by their ids as given."""

    new: tuple[str, ...] = ()
    known: tuple[str, ...] = ()  # seen before, in this batch or earlier: they run nothing again


@dataclass(frozen=True, slots=True)
class Written:
    """What was stored of one stream."""

    parts: int = 0
    bytes: int = 0  # in UTF-8
    json_bytes: int = 0  # the same inside a JSON string (RFC 8259 §7)
    crc: int = 0

    def plus(self, piece: Utf8) -> Self:
        """The same with one more piece."""
        size, json_size = self.bytes + len(piece), self.json_bytes + json_bytes(piece)
        return type(self)(self.parts + 1, size, json_size, zlib.crc32(piece, self.crc))


NOTHING = Written()


async def _held(delivery: "Delivery", stream: Stream) -> AsyncGenerator[Utf8, None]:
    yield (delivery.texts or {})[stream]


@dataclass(slots=True)
class Delivery:
    """A result that is due to be sent, and its output."""

    seq: int
    command_id: str
    result: Result
    correlation_id: str | None = None
    session_id: str | None = None
    executed_at: float | None = None  # when it was started, or else answered: in seconds since the epoch
    output: Mapping[Stream, Written] = field(default_factory=lambda: dict.fromkeys(STREAMS, NOTHING))
    texts: Mapping[Stream, Utf8] | None = field(default=None, repr=False)  # the output itself where it is small
    attempts: int = 1  # how often it was tried before, and this time
    whole: bool = True  # whether the checksums are right; for a larger output that shows only when it is read
    source: "Callable[[Delivery, Stream], AsyncGenerator[Utf8, None]]" = field(default=_held, repr=False)

    @property
    def bytes(self) -> int:
        """The size of the stored output, both streams together."""
        return sum(written.bytes for written in self.output.values())

    def json_bytes(self, stream: Stream) -> int:
        """UTF-8 bytes of the stream's text inside a JSON string: a body's length is known before its output is read."""
        return self.output[stream].json_bytes

    def pieces(self, stream: Stream) -> AsyncGenerator[Utf8, None]:
        """The stream's text in UTF-8, piece by piece. Raises DamagedResult before the last one is given, so that a body
        stays unfinished, if it isn't what was stored. An error has taken its place: release it and take it again.
        """
        return self.source(self, stream)


@dataclass(frozen=True, slots=True)
class Counts:
    """The spool in numbers."""

    accepted: int
    running: int
    pending: int  # results not yet delivered
    pending_bytes: int  # of their output, UTF-8
    oldest_pending_age_seconds: float  # 0 when nothing is pending
    delivered: int  # delivered results still remembered
    rejected: int
    size_bytes: int  # of all files together
    capacity_bytes: int  # what they may have together
    free_bytes: int  # room left for output
    full_because: str | None  # why no commands are taken, in a sentence; None while they are


def clean(text: str) -> str:
    """The same text, with what SQLite can't store or show replaced."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def printable(text: str) -> str:
    """Text for a terminal: control characters, which could steer it, are replaced; line ends stay."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", clean(text))


def split(text: str) -> Iterator[Utf8]:
    """Text in UTF-8, in pieces of at most `PIECE_CHARS`."""
    return (text[at : at + PIECE_CHARS].encode() for at in range(0, len(text), PIECE_CHARS))


def checksum(*parts: object) -> int:
    """A checksum of anything that JSON can hold."""
    return zlib.crc32(json.dumps(parts).encode())
