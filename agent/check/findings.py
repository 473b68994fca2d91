"""What a check finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.errors import AgentError


class Mark(StrEnum):
    """How one check ended."""

    PASSED = "passed"
    WARNED = "warning"
    """The agent works, and somebody should know."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It wasn't looked at, mostly because an earlier check failed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    area: str
    check: str
    verdict: Mark
    words: str
    """What was found."""
    hint: str = ""
    """What to do about it; there is one with every failure and every warning."""


Tell = Callable[[Finding], None]


class Area:
    """Checks that build on each other, in their order.

    Args:
        title: what they are about.
        checks: their names; those that are never reached are told as skipped.
        tell: takes each finding as soon as it is known.
    """

    def __init__(self, title: str, checks: Sequence[str], tell: Tell) -> None:
        self._title = title
        self._waiting = list(checks)
        self._tell = tell
        self._failed = ""

    def passed(self, check: str, words: str) -> None:
        """It is as it should be."""
        self._found(check, Mark.PASSED, words)

    def warned(self, check: str, words: str, hint: str) -> None:
        """The agent works, but somebody should know."""
        self._found(check, Mark.WARNED, words, hint)

    def failed(self, check: str, error: AgentError) -> None:
        """It isn't as it should be; the agent itself would say the same."""
        self._failed = check
        self._found(check, Mark.FAILED, error.problem, error.hint)

    def skip(self, check: str, words: str) -> None:
        """It wasn't looked at."""
        self._found(check, Mark.SKIPPED, words)

    def skip_rest(self, because: str = "") -> None:
        """Tell what wasn't reached; without another reason because of the last failure."""
        for check in self._waiting.copy():
            self.skip(check, because or f"not looked at: {self._failed} failed")

    def _found(self, check: str, verdict: Mark, words: str, hint: str = "") -> None:
        if check in self._waiting:
            self._waiting.remove(check)
        self._tell(Finding(self._title, check, verdict, words, hint))
