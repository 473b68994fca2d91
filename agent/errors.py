"""What people are told: the errors that cross from one room to another, and ages, sizes and counts in words.

A refusal by the guard (`agent.guard.Refused`) is no error: it is an ordinary result, not a failure of the agent.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


class AgentError(Exception):
    """Base of all that is raised for a person to read. `problem` says what is wrong, `hint`, if any, what to do."""

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(f"{problem} {hint}".rstrip())


class ConfigError(AgentError):
    """A mistake in the configuration; exit code 2. Several at once are one error whose `mistakes` are these."""

    def __init__(self, problem: str, hint: str = "", *, mistakes: Sequence[AgentError] = ()) -> None:
        super().__init__(problem, hint)
        self.mistakes = tuple(mistakes) or (self,)

    def __str__(self) -> str:
        return "\n".join(map(AgentError.__str__, self.mistakes))


class PolicyError(AgentError):
    """The policy file can't be used: which key, what is wrong, and what would be right."""


class KubectlError(AgentError):
    """kubectl isn't there, or can't be started."""


class SpoolError(AgentError):
    """The spool can't be opened, read or written: no task goes on without it."""


class SpoolFull(SpoolError):  # noqa: N818
    """The cap or the disk leaves no room for this write. Nothing was written; the same call may succeed later."""


class DamagedResult(SpoolError):  # noqa: N818
    """A stored result isn't what was written. An error has taken its place: release it and take it again."""


class LinkDown(AgentError):  # noqa: N818
    """The API couldn't be reached, or answered with something that isn't its contract. `refused`: by 401 or 403, it is
    there but doesn't accept this agent's token. `retry_after` is in seconds, as the server asked (already bounded).
    """

    def __init__(
        self,
        problem: str,
        hint: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        refused: bool = False,
    ) -> None:
        self.status = status
        self.retry_after = retry_after
        self.refused = refused
        super().__init__(problem, hint)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside an exception group and its subgroups; the error itself if it is no group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def age(seconds: float) -> str:
    """A time span in its two largest units: "45 s", "3 min 5 s", "2 h", "5 d 4 h"."""
    left = max(0, round(seconds))
    for (unit, size), (small, small_size) in pairwise(_UNITS):
        if left >= size:
            rest = left % size // small_size
            return f"{left // size} {unit}" + (f" {rest} {small}" if rest and left // size < 10 else "")
    return f"{left} s"


def counted(count: int, what: str) -> str:
    """A number of things: "1 result", "3 results"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def size(count: float) -> str:
    """A number of bytes in a readable unit: "0 B", "812 B", "3.4 KiB", "256 MiB"."""
    unit = "B"
    for larger in ("KiB", "MiB", "GiB"):
        if count < 1000:
            break
        count, unit = count / 1024, larger
    digits = 0 if unit == "B" or count >= 10 or count == int(count) else 1
    return f"{count:.{digits}f} {unit}"
