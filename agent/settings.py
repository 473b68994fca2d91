"""How the text of an environment variable becomes a value.

A reader returns the value or raises ConfigError: `problem` is the rest of a sentence about the variable, `hint` says
what would be right.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.errors import ConfigError
from agent.humanize import age

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts to which the token may travel in clear text: it doesn't leave the machine."""

_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}

Reader = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable: its name, its default, its reader, and what it means. Without a default it may be unset.

    `example` is the hint when a variable that must be set isn't. `secret` ones are never shown.
    """

    name: str
    default: str | None
    reader: Reader
    meaning: str
    example: str = ""
    secret: bool = False
    field: str = ""
    """Of `Config`."""

    @property
    def required(self) -> bool:
        """Whether nothing works without it."""
        return bool(self.example)

    def read(self, given: str | None) -> Any:
        """The value, from the variable's text or the default; None if there is neither.

        Raises:
            ConfigError: a whole sentence that names the variable.
        """
        text = (given or "").strip() or self.default
        if text is None and self.required:
            raise ConfigError(f"{self.name} is not set.", self.example)
        if text is None:
            return None
        try:
            return self.reader(_bare(text))
        except ConfigError as error:
            shown = "" if self.secret else f" {_without_password(text)!r}"
            raise ConfigError(f"{self.name}:{shown} {error.problem}", error.hint) from None


def _bare(text: str) -> str:
    """The same text, if it isn't in quotes, as a file of variables that no shell reads may have it."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        raise ConfigError("is in quotes, and they would be part of it.", "Leave them away.")
    return text


def _without_password(text: str) -> str:
    """What a URL has between its scheme and an @ is nobody's business."""
    before, at, after = text.rpartition("@")
    return f"{before[: before.find('//') + 2] if '//' in before else ''}…@{after}" if at else text


def api_url(text: str) -> str:
    """The address of the API, its scheme in small letters and without a slash at its end."""
    example = "For example: https://api.example.com"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:  # Python's own words are about brackets and casts
        problem = "isn't a URL: after the host comes nothing, a path, or ':' and a port up to 65535."
        raise ConfigError(problem, example) from None
    if parts.scheme not in {"http", "https"}:
        raise ConfigError("has no http:// or https:// in front.", example)
    if not host:
        raise ConfigError("names no host.", example)
    if parts.username or parts.password:
        raise ConfigError("holds a user or password.", "The token goes into KUBENTLY_TOKEN_FILE.")
    if parts.query or parts.fragment:
        raise ConfigError("has a '?' or '#'.", "It ends with the host or a path.")
    if port == 0:
        raise ConfigError("names port 0, where nothing can be.", example)
    if not text.isascii() or any(c.isspace() for c in text):
        raise ConfigError(
            "holds a space or a letter beyond ASCII.", "A host with other letters has a name with xn-- too."
        )
    if any(not 0 < len(label) < 64 for label in host.rstrip(".").split(".")):
        raise ConfigError("names a host that can't be.", "There are 1 to 63 letters between two dots.")
    return parts.geturl().rstrip("/")


def word(text: str) -> str:
    """What can be the value of an HTTP header."""
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 253:
        raise ConfigError("isn't one word of at most 253 ASCII characters.", "It travels in an HTTP header.")
    return text


def token(text: str) -> str:
    """A token, as a variable or a file holds it; the same rules at the start and whenever the file changes."""
    found = text.strip()
    if not found:
        raise ConfigError("is empty.", "It must hold this cluster's token.")
    if found.startswith("\ufeff"):
        raise ConfigError("begins with a byte order mark, as some editors write it.", "Save it as plain ASCII.")
    if not found.isascii() or not found.isprintable() or " " in found:
        raise ConfigError("holds no token.", "It must be one word of ASCII: it travels in an HTTP header.")
    if found[0] in "'\"" and found[-1] == found[0]:
        raise ConfigError("holds a token in quotes, and they would be part of it.", "Leave them away.")
    return found


def one_of(*words: str) -> Reader:
    """One of these words, in capital or small letters."""
    known = {each.lower(): each for each in words}

    def read(text: str) -> str:
        if text.lower() not in known:
            raise ConfigError(f"is none of {', '.join(words)}.", "Choose one of them.")
        return known[text.lower()]

    return read


def flag(text: str) -> bool:
    """Yes or no."""
    if text.lower() in {"true", "1", "yes", "on"}:
        return True
    if text.lower() in {"false", "0", "no", "off"}:
        return False
    raise ConfigError("is neither true nor false.", "Write true or false.")


def whole(low: int, high: int) -> Reader:
    """A count."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise ConfigError("is out of range.", f"It must be a whole number from {low} to {high}.")
        return int(text)

    return read


def seconds(low: int, high: int) -> Reader:
    """A time span."""

    def read(text: str) -> float:
        ends = (str(end) if end < 60 else f"{end} ({age(end)})" for end in (low, high))
        hint = f"It must be a number of seconds from {' to '.join(ends)}."
        try:
            value = float(text)
        except ValueError:
            raise ConfigError("isn't a number.", hint) from None
        if not low <= value <= high:  # false for NaN too
            raise ConfigError("is out of range.", hint)
        return value

    return read


def size(low: int, high: int) -> Reader:
    """Bytes, with or without Ki, Mi or Gi."""

    def read(text: str) -> int:
        number, unit = (text[:-2], _UNITS[text[-2:]]) if text[-2:] in _UNITS else (text, 1)
        if not (number.isascii() and number.isdigit()) or not low <= int(number) * unit <= high:
            hint = f"It must be a number of bytes from {in_units(low)} to {in_units(high)}, such as 256Mi or 1048576."
            raise ConfigError("is no size that can be used.", hint)
        return int(number) * unit

    return read


def in_units(count: int) -> str:
    """Bytes as `size` reads them."""
    unit, factor = next(((u, f) for u, f in reversed(_UNITS.items()) if count % f == 0), ("", 1))
    return f"{count // factor}{unit}"


def path(text: str) -> Path:
    """A file or folder, absolute from now on."""
    if "\0" in text:
        raise ConfigError("holds a NUL character.", "Write a path.")
    if text.startswith("~"):
        raise ConfigError("begins with ~, which only a shell replaces.", "Write the whole path, such as /srv/file.")
    return Path(text).absolute()


def program(text: str) -> str:
    """A program's name or path."""
    path(text)
    return text


def spool_file(text: str) -> Path:
    """A database that outlives the process."""
    if text.startswith((":memory:", "file:")):
        raise ConfigError("is SQLite's word, not a path.", "Name a file on a disk, such as /var/lib/kubently/spool.db.")
    return path(text)


def address(text: str) -> tuple[str, int]:
    """Host and port to listen at."""
    host, colon, port = text.rpartition(":")
    if not host or not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError("is no address.", "It must be ADDRESS:PORT, such as 0.0.0.0:8080 or [::]:8080.")
    return host.strip("[]"), int(port)


def readable(name: str, file: Path | None, check: Callable[[str], object] = str) -> Sequence[ConfigError]:
    """What is wrong with a file that a variable names: nothing, or one mistake. `check` raises ConfigError too."""
    if file is None:
        return ()
    try:
        check(file.read_text("utf-8", errors="replace"))
    except OSError as error:
        problem = f"{name}: {str(file)!r} can't be read: {error.strerror}."
        return (ConfigError(problem, f"Name a file that user {os.geteuid()} may read."),)
    except ConfigError as error:
        return (ConfigError(f"{name}: {str(file)!r} {error.problem}", error.hint),)
    return ()
