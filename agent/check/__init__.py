"""What `kubently-agent check` looks at, before the agent runs or beside it in the same pod: one subject a file.

Nothing here takes the spool's lock, touches what a running agent uses, or waits without a limit. An area ends at its
first failure, as what follows needs what failed. The areas don't depend on each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from agent.errors import AgentError, ConfigError


class Mark(StrEnum):
    """How a check ended; the value is the sign that is printed."""

    PASSED = "√"
    WARNED = "!"  # the agent works, but somebody should look at this
    FAILED = "×"
    SKIPPED = "–"  # the check doesn't apply here


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was found, and what to do about it. There is a hint with every failure and every warning."""

    area: str
    check: str
    mark: Mark
    words: str
    hint: str = ""


Tell = Callable[[Finding], None]


@dataclass
class Area:
    """Checks that build on each other. An AgentError inside is the current check's failure, and ends the area."""

    title: str
    tell: Tell
    check: str = ""  # the current one: what is found from now on belongs to it

    def __enter__(self) -> "Area":
        return self

    def __exit__(self, _: object, error: object, __: object) -> bool:
        if not isinstance(error, AgentError):
            return False
        for mistake in error.mistakes if isinstance(error, ConfigError) else (error,):
            self.found(Mark.FAILED, mistake.problem, mistake.hint)
        return True

    def passed(self, words: str) -> None:
        """The current check has passed."""
        self.found(Mark.PASSED, words)

    def found(self, mark: Mark, words: str, hint: str = "") -> None:
        """The current check has ended like this."""
        self.tell(Finding(self.title, self.check, mark, words, hint))
