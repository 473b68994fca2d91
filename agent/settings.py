"""How the text of an environment variable becomes a value, and whether a file that it names has changed.

A reader returns the value or raises ConfigError: `problem` is the rest of a sentence about the variable, `hint` says
what would be right.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.errors import ConfigError

_UNITS = {"Gi": 1 << 30, "Mi": 1 << 20, "Ki": 1 << 10}

Reader = Callable[[str], Any]
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable. Without a default it may be unset."""

    name: str
    default: str | None
    reader: Reader
    meaning: str
    example: str = ""  # the hint when a variable that must be set isn't
    secret: bool = False  # never shown

    def read(self, environ: Mapping[str, str]) -> Any:
        """The variable's value or the default; None if there is neither. Raises ConfigError that names the variable."""
        text = environ.get(self.name, "").strip() or self.default
        if text is None and self.example:
            raise ConfigError(f"{self.name} is not set.", self.example)
        if text is None:
            return None
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":  # from a file that no shell reads
            raise ConfigError(f"{self.name} is in quotes, and they would be part of it.", "Leave them away.")
        try:
            return self.reader(text)
        except ConfigError as error:
            shown = "" if self.secret or "@" in text else f" {text!r}"  # a URL may hold a password before its @
            raise ConfigError(f"{self.name}:{shown} {error.problem}", error.hint) from None


def api_url(text: str) -> str:
    """The address of the API, its scheme in small letters and without a slash at its end."""
    hint = "For example: https://api.example.com, with a port or a path if there is one."
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:  # Python's own words are about brackets and casts
        raise ConfigError("isn't a URL.", hint) from None
    faults = {
        "has no http:// or https:// in front.": parts.scheme not in {"http", "https"},
        "names no host.": not host,
        "holds a user or password; the token goes into KUBENTLY_TOKEN_FILE.": parts.username or parts.password,
        "has a '?' or '#'.": parts.query or parts.fragment,
        "holds a space or a letter beyond ASCII.": not text.isascii() or len(text.split()) > 1,
    }
    for problem, found in faults.items():
        if found:
            raise ConfigError(problem, hint)
    return parts.geturl().rstrip("/")


def word(text: str) -> str:
    """One word that can be the value of an HTTP header."""
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 253:
        raise ConfigError("isn't one word of at most 253 ASCII characters.", "It travels in an HTTP header.")
    return text


def token(text: str) -> str:
    """A token, as a variable or a file holds it; the same rules at the start and whenever the file changes."""
    found = text.strip()
    if not found:
        raise ConfigError("is empty.", "It must hold this cluster's token.")
    if not found.isascii() or not found.isprintable() or " " in found or found[0] in "'\"":
        problem = "holds no token: that is one word of ASCII, without quotes or a byte order mark."
        raise ConfigError(problem, "It travels in an HTTP header.")
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
    known = {**dict.fromkeys(("true", "1", "yes", "on"), True), **dict.fromkeys(("false", "0", "no", "off"), False)}
    if text.lower() not in known:
        raise ConfigError("is neither true nor false.", "Write true or false.")
    return known[text.lower()]


def whole(low: int, high: int) -> Reader:
    """A whole number, such as a count or bytes, with or without Ki, Mi or Gi."""

    def read(text: str) -> int:
        number, unit = (text[:-2], _UNITS[text[-2:]]) if text[-2:] in _UNITS else (text, 1)
        if not (number.isascii() and number.isdigit()) or not low <= int(number) * unit <= high:
            ends = f"{in_units(low)} to {in_units(high)}"
            raise ConfigError("is out of range.", f"It must be a whole number from {ends}.")
        return int(number) * unit

    return read


def in_units(count: int) -> str:
    """A number in the form that `whole` reads."""
    unit, factor = next(((u, f) for u, f in _UNITS.items() if count % f == 0), ("", 1))
    return f"{count // factor}{unit}"


def seconds(low: int, high: int) -> Reader:
    """A time span."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not low <= value <= high:  # false for NaN too
            raise ConfigError("is out of range.", f"It must be a number of seconds from {low} to {high}.")
        return value

    return read


def path(text: str) -> Path:
    """A file or folder, absolute from now on."""
    if text.startswith("~"):
        raise ConfigError("begins with ~, which only a shell replaces.", "Write the whole path, such as /srv/file.")
    if text.startswith((":memory:", "file:")):
        problem = "means something to SQLite or a browser, but names no file."
        raise ConfigError(problem, "Write a path, such as /srv/file.")
    return Path(text).absolute()


def file(text: str, check: Reader = str) -> Path:
    """A file that can be read, and with whose text `check` is content."""
    found = path(text)
    try:
        check(found.read_text("utf-8", errors="replace"))
    except OSError as error:
        hint = f"Name a file that user {os.geteuid()} may read."
        raise ConfigError(f"can't be read: {error.strerror}.", hint) from error
    return found


def address(text: str) -> tuple[str, int]:
    """Host and port to listen at."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError("is no address.", "It must be ADDRESS:PORT, such as 0.0.0.0:8080 or [::]:8080.")
    return host.strip("[]"), int(port)


class FileWatch:
    """Whether any of these files has changed. Kubernetes replaces mounted ones through a link, which `stat` follows."""

    def __init__(self, *paths: Path | None) -> None:
        self._paths = tuple(path for path in paths if path is not None)
        self._seen: tuple[Stamp | None, ...] | None = None

    def changed(self) -> bool:
        """Whether any file has changed since the last call. The first call says yes if there are any files."""
        now = tuple(map(_stamp, self._paths))
        changed, self._seen = bool(now) and now != self._seen, now
        return changed

    def forget(self) -> None:
        """Let `changed` say yes the next time."""
        self._seen = None


def _stamp(path: Path) -> Stamp | None:
    """What identifies a file's version; None if it is missing. ctime shows changed permissions. Takes microseconds."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
