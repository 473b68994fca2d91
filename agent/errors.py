"""The errors that cross from one room to another.

    AgentError                  a person can read it: it names the thing, says what is wrong and what to do
    ├── ConfigError             a mistake in the configuration, or several at once; exit code 2
    ├── KubectlError            no kubectl, or one that can't be started
    ├── SpoolError              the spool can't be used at all: no task goes on without it
    │   ├── SpoolTooNew         its schema is of a later agent; never altered
    │   ├── SpoolFull           no room for this write (the cap or the disk); nothing was written, try again later
    │   └── DamagedResult       one stored result isn't what was written; an error has taken its place
    └── LinkDown                the API couldn't be reached, or what answered wasn't the API

A refusal by the guard (`agent.guard.Refused`) isn't among them: it is an ordinary result, not a failure of the agent.
"""

from collections.abc import Iterator, Sequence


class AgentError(Exception):
    """Base of all that this package raises for a person to read.

    `problem` is a sentence that says what is wrong, `hint` one that says what to do; "" where there is nothing to say.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(f"{problem} {hint}".rstrip())


class ConfigError(AgentError):
    """A mistake in the configuration. One may stand for several: `mistakes` has each, with its own problem and hint."""

    def __init__(self, problem: str, hint: str = "", *, others: Sequence[AgentError] = ()) -> None:
        super().__init__(problem, hint)
        self._others = tuple(others)

    @classmethod
    def of(cls, mistakes: Sequence[AgentError]) -> "ConfigError":
        """One error that stands for all of these (at least one)."""
        first, *others = mistakes
        return cls(first.problem, first.hint, others=others)

    @property
    def mistakes(self) -> tuple[AgentError, ...]:
        """Itself, and the others that it stands for."""
        return (self, *self._others)

    def __str__(self) -> str:
        return "\n".join((super().__str__(), *map(str, self._others)))


class KubectlError(AgentError):
    """kubectl isn't there, or can't be started."""


class SpoolError(AgentError):
    """The spool can't be opened, read or written."""


class SpoolTooNew(SpoolError):  # noqa: N818  # reads as what it says
    """The spool was written by a later version of the agent."""


class SpoolFull(SpoolError):  # noqa: N818
    """The cap or the disk leaves no room for this write. Nothing was written; the same call may succeed later."""


class DamagedResult(SpoolError):  # noqa: N818
    """A stored result isn't what was written. An error has taken its place: release it and take it again."""


class LinkDown(AgentError):  # noqa: N818
    """The API couldn't be reached, or answered with something that isn't its contract.

    `silent` is true when a connection was there but no answer came in time, as a long poll's may.
    `status` is the HTTP status if there was one. `retry_after` is in seconds, as the server asked (already bounded).
    `refused` is true for 401 and 403: the API is there but doesn't accept this agent's token.
    """

    def __init__(
        self,
        problem: str,
        hint: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        refused: bool = False,
        silent: bool = False,
    ) -> None:
        self.status = status
        self.retry_after = retry_after
        self.refused = refused
        self.silent = silent
        super().__init__(problem, hint)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside a group, which nurseries nest; the error itself if it is none."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
