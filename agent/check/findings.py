"""What a check finds."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

from agent.errors import AgentError, ConfigError


class Mark(StrEnum):
    """How one check ended, by its sign."""

    PASSED = "√"
    WARNED = "!"
    """The agent works, and somebody should know."""
    FAILED = "×"
    SKIPPED = "–"
    """It has no meaning here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was found, and what to do about it. There is a hint with every failure and every warning."""

    area: str
    check: str
    mark: Mark
    words: str
    hint: str = ""


Tell = Callable[[Finding], None]


class Area:
    """Checks that build on each other, in their order. An AgentError inside is the failure of the check that has begun,
    and ends them: the agent itself would say the same.
    """

    def __init__(self, title: str, tell: Tell) -> None:
        self._title = title
        self._tell = tell
        self._check = ""

    def __enter__(self) -> "Area":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> bool:
        if not isinstance(error, AgentError):
            return False
        for mistake in error.mistakes if isinstance(error, ConfigError) else (error,):
            self.failed(mistake)
        return True

    def begins(self, check: str) -> None:
        """What is found from now on is found by this check."""
        self._check = check

    def passed(self, words: str) -> None:
        """It is as it should be."""
        self.found(Mark.PASSED, words)

    def failed(self, error: AgentError) -> None:
        """It isn't as it should be, and the checks go on."""
        self.found(Mark.FAILED, error.problem, error.hint)

    def found(self, mark: Mark, words: str, hint: str = "") -> None:
        """The check that has begun ended like this."""
        self._tell(Finding(self._title, self._check, mark, words, hint))
