"""The agent's token, from the environment or from a file that somebody may rotate at any time."""

from pathlib import Path

from agent.errors import LinkDown


class Token:
    """The current token. A file is read again when it changes; Kubernetes swaps a mounted Secret's by a symbolic link.

    Args:
        value: the token itself, or None.
        path: the file that holds it, if there is no value.
    """

    def __init__(self, value: str | None, path: Path | None) -> None:
        self._value = value
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def current(self) -> str:
        """The token to send now.

        Raises:
            LinkDown: the file can't be read or holds no token, and none has been read before.
        """
        if self._path is None:
            return self._value or ""
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if seen != self._seen:
                text = self._path.read_text("ascii").strip()
                if text:  # an empty file is a rotation in progress: the old token is still the best there is
                    self._value, self._seen = _word(text), seen
        except (OSError, ValueError) as error:
            if self._value is None:
                raise LinkDown(f"the token file {str(self._path)!r} can't be read: {error}", refused=True) from error
        if self._value is None:
            raise LinkDown(f"the token file {str(self._path)!r} is empty", refused=True)
        return self._value

    def reread(self) -> None:
        """Forget what was read: the API has refused it. The next `current` reads the file whatever its date says."""
        self._seen = None


def _word(text: str) -> str:
    """The token if it can go into a header. If it can't, the HTTP library would quote it in its complaint."""
    if not text.isprintable() or " " in text:
        raise ValueError("it holds more than one word")
    return text
