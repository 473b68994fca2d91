"""What a link gives and takes."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from agent.model import Command, Malformed, Result, Stream


@dataclass(frozen=True, slots=True)
class Batch:
    """What one receive brought."""

    commands: list[Command] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    skipped: int = 0
    """Things in the answer that were passed over: not even an id could be read, or there were far too many."""
    recognised: bool = True
    """Whether it shows that the API itself has answered. Anything can say 204 at once."""


class Verdict(StrEnum):
    """What the API did with one result."""

    STORED = "stored"
    """It has it."""
    REFUSED = "refused"
    """It refuses this one result for good; sending it again won't help."""
    TOO_LARGE = "too_large"
    """It would take a smaller one."""
    LATER = "later"
    """It couldn't be reached, was busy, or something else answered in its place."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one result. `words` are the API's, cut, or say what went wrong; `retry_after` is in seconds."""

    verdict: Verdict
    status: int | None = None
    words: str = ""
    retry_after: float | None = None


class ReadyResult(Protocol):
    """One result that is on its way, with its output as pieces that are read when they are sent."""

    # fmt: off
    @property
    def command_id(self) -> str: ...  # noqa: D102
    @property
    def result(self) -> Result:
        """Everything but the output."""
    @property
    def correlation_id(self) -> str | None: ...  # noqa: D102
    @property
    def session_id(self) -> str | None: ...  # noqa: D102
    @property
    def executed_at(self) -> float | None:
        """When the command was started or else answered, in seconds since the epoch; None if nobody knows any more."""
    @property
    def attempts(self) -> int:
        """How often it was sent, this time included."""
    def json_bytes(self, stream: Stream) -> int:
        """How many bytes the stream's text has as the inside of a JSON string (see `agent.model.json_text`)."""
    def pieces(self, stream: Stream) -> AsyncGenerator[str, None]:
        """The stream's text, piece by piece, in order."""
    # fmt: on
