"""The agent's token, from the environment or from a file that somebody may rotate at any time."""

from pathlib import Path

from agent import settings
from agent.errors import ConfigError, LinkDown
from agent.log import Log

log = Log("link")


class Token:
    """The current token: `value`, or what the file at `path` holds. That is read again when it changes, by the same
    rules as at the start.
    """

    def __init__(self, value: str | None, path: Path | None) -> None:
        self._value = value
        self._path = path
        self._watch = settings.FileWatch(path)
        self._problem = ""

    def current(self) -> str:
        """The token to send now.

        Raises:
            LinkDown: the file holds no token that can be used, and none has been read before.
        """
        if self._path is not None and (self._watch.changed() or self._value is None):
            self._read(self._path)
        if self._value is None:
            hint = "Put this cluster's token there: it is read as soon as it is right."
            raise LinkDown(f"the token file {str(self._path)!r} {self._problem}", hint, refused=True)
        return self._value

    def reread(self) -> None:
        """Forget what was read: the API has refused it. The next `current` reads the file whatever its date says."""
        self._watch.forget()

    def _read(self, path: Path) -> None:
        problem = ""
        try:
            self._value = settings.token(path.read_text("utf-8", errors="replace"))
        except OSError as error:
            problem = f"can't be read: {error.strerror}."
        except ConfigError as error:
            problem = error.problem
        if problem not in ("", self._problem) and self._value is not None:
            log.warning("token file can't be used, the old token stays", file=str(path), reason=problem)
        self._problem = problem
