"""What a check finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How one check ended."""

    PASSED = "passed"
    WARNED = "warning"
    """The agent works, and somebody should know."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """An earlier check failed, without which this one can't be made."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    area: str
    check: str
    verdict: Verdict
    words: str
    """What was found."""
    hint: str | None = None
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
        self.title = title
        self._waiting = list(checks)
        self._tell = tell
        self._last = ""

    def passed(self, check: str, words: str) -> None:
        """It is as it should be."""
        self._found(check, Verdict.PASSED, words)

    def warned(self, check: str, words: str, hint: str) -> None:
        """The agent works, but somebody should know."""
        self._found(check, Verdict.WARNED, words, hint)

    def failed(self, check: str, words: str, hint: str) -> None:
        """It isn't as it should be."""
        self._last = check
        self._found(check, Verdict.FAILED, words, hint)

    def skip(self, check: str, words: str) -> None:
        """It wasn't looked at."""
        self._found(check, Verdict.SKIPPED, words)

    def skip_rest(self, because: str | None = None) -> None:
        """Tell what wasn't reached; by default because of the last failure."""
        for check in list(self._waiting):
            self.skip(check, because or f"not looked at: {self._last} failed")

    def _found(self, check: str, verdict: Verdict, words: str, hint: str | None = None) -> None:
        if check in self._waiting:
            self._waiting.remove(check)
        self._tell(Finding(self.title, check, verdict, words, hint))
