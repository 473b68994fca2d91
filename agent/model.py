"""What travels through the agent: a command in, a result out.

API ──▶ Command ──▶ spool ──▶ executor ──▶ Result and its pieces of output ──▶ spool ──▶ API
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from json.encoder import encode_basestring
from typing import Any, Literal

Stream = Literal["stdout", "stderr"]  # of the child, from which a piece of output came

PIECE_CHARS = 256 * 1024
"""Output is kept and sent in pieces of at most so many characters, so that no result is ever whole in memory. 10 MB in
such pieces cost 2.7 MB of memory, in one value 31 MB (measured, CPython 3.11, SQLite 3.40)."""

_SPECIAL = b'\\"' + bytes(range(32))  # the backslash first, as the other escapes contain one
_ESCAPES = [(bytes([each]), encode_basestring(chr(each))[1:-1].encode()) for each in _SPECIAL]
_PLAIN = bytes(set(range(256)) - set(_SPECIAL))
_SHORT = b'"\\\b\f\n\r\t'  # what is escaped by two characters, and not by six


def json_bytes(data: bytes) -> int:
    """How long UTF-8 text is inside a JSON string (RFC 8259 §7)."""
    special = data.translate(None, _PLAIN)
    return len(data) + len(special) + 4 * len(special.translate(None, _SHORT))


def json_text(data: bytes) -> bytes:
    """UTF-8 text as the inside of a JSON string. Escaped pieces join to the escaped whole."""
    for character, escaped in _ESCAPES:  # for logs this is up to four times as fast as the encoder
        data = data.replace(character, escaped)
    return data


MAX_ARGUMENTS = 64  # per command; the longest line by a person that we know of has 23
MAX_ARGUMENT_BYTES = 16 * 1024  # of one command's arguments together, as UTF-8; Linux allows 128 KiB for each
MAX_ID_CHARS = 256  # longer ids are answered with an error, so that tables and logs stay readable; UUIDs have 36


@dataclass(frozen=True, slots=True)
class Command:
    """One command as the API sent it. The shape is checked, the content isn't: that is the guard's work."""

    id: str
    args: tuple[str, ...]
    timeout: float | None = None  # seconds, as asked by the sender; None for the default
    correlation_id: str | None = None
    session_id: str | None = None
    tool: str = "kubectl"  # which runs `args`; "log_search" does what `request` says
    request: Mapping[str, Any] | None = None  # a tool's parameters as the API sent them: JSON


@dataclass(frozen=True, slots=True)
class Malformed(Command):
    """A command of which no more could be read than its ids. It gets an error result, never silence."""

    reason: str = ""  # a sentence for the sender


class Outcome(StrEnum):
    """How a command ended. `succeeded` is the only one with `success: true`."""

    SUCCEEDED = "succeeded"  # kubectl ended with exit code 0
    FAILED = "failed"  # kubectl ended with another exit code, or by a signal that the agent didn't send
    TIMED_OUT = "timed_out"  # the agent ended kubectl at the command's time limit; what it printed is kept
    REFUSED = "refused"  # the guard doesn't allow it, or the command's shape made no sense; nothing was started
    UNSTARTED = "unstarted"  # kubectl couldn't be started: it is missing, broken or not executable
    INTERRUPTED = "interrupted"  # the agent was stopped or killed, and running it again wasn't worth it
    DAMAGED = "damaged"  # the command or its result was damaged on disk, and couldn't be trusted
    BUSY = "busy"  # more commands arrived than the agent has room for; nothing was started


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one command, without its output: that is in the spool, in pieces."""

    outcome: Outcome
    exit_code: int | None = None  # kubectl's; 128 + N if signal N ended it, as a shell reports it; None if nothing ran
    error: str | None = None  # the agent's own sentence; what kubectl wrote to stderr follows it, from the spool
    execution_time_ms: int = 0
    output_bytes: int = 0  # of stdout in full, as UTF-8, those beyond the cap included
    truncated: bool = False  # some of stdout was beyond the cap and isn't in the spool
    rule: str | None = None  # for `refused`: the guard's rule, for metrics and for people
    redactions: int = 0  # how many credentials were taken out of the output

    @property
    def success(self) -> bool:
        """Whether the API should see this as a success."""
        return self.outcome is Outcome.SUCCEEDED

    @property
    def breaks_off(self) -> bool:
        """Whether the output may end amid a word: kubectl had more, or was ended and didn't end by itself."""
        return self.truncated or self.exit_code not in {0, 1}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What may be run here, in the words that the API shows to people and models. Most important first."""

    verbs: tuple[str, ...]  # as in "get" and "rollout status"
    restricted_types: tuple[str, ...]  # those that are never read
    flags: tuple[str, ...]  # as in "--selector" and "-l"
