"""Types of flag values as kubectl's flag library reads them, and rules for what a value may be."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

# Go's strconv.ParseBool, exactly.
_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), "true")
_BOOLEANS |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), "false")
# Go's strconv.ParseInt with base 0: as Python's, but a leading 0 alone means octal too.
_INTEGER = re.compile(r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|0|[1-9](?:_?[0-9])*)")
_OCTAL = re.compile(r"^([+-]?0)(?=[_0-7])")
_INT64 = 2**63
_DURATION = re.compile(r"[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_PART = re.compile(r"([0-9.]+)([a-zµμ]+)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class FlagType(Enum):
    """What a flag takes. The text is what a wrong value is told."""

    BOOL = "true or false"
    """`--flag` means true; a value only with `=`."""
    INT = "a whole number"
    DURATION = "a duration such as 30s, 15m or 1h30m (h is the largest unit)"
    TEXT = "text"
    LIST = "a list with commas; repeating the flag appends"

    def read(self, value: str) -> str | None:
        """The value in canonical form, or None if kubectl would not take it."""
        if self is FlagType.BOOL:
            return _BOOLEANS.get(value)
        if self is FlagType.INT:
            return _whole_number(value)
        return None if self is FlagType.DURATION and not _DURATION.fullmatch(value) else value


def _whole_number(value: str) -> str | None:
    if len(value) > 100 or not _INTEGER.fullmatch(value):
        return None
    number = int(_OCTAL.sub(r"\1o", value), 0)
    return str(number) if -_INT64 <= number < _INT64 else None


def seconds(duration: str) -> float:
    """How long a duration is that `FlagType.DURATION` took."""
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))
    return -total if duration.startswith("-") else total


@dataclass(frozen=True, slots=True)
class ValueRule:
    """What a flag's value may be."""

    says: str  # for people: what is allowed
    complaint: Callable[[str], str | None]
    """What is wrong with a value (it ends the sentence "--flag=value is not allowed: …"), or None."""


def anything() -> ValueRule:
    """Whatever the type allows: the value only selects from what was fetched anyway."""
    return ValueRule("", lambda _: None)


def only(value: str, why: str) -> ValueRule:
    """A flag that may be named, but change nothing."""
    return ValueRule(f"only {value}", lambda given: None if given == value else why)


def expecting(says: str, holds: Callable[[str], object], otherwise: str = "") -> ValueRule:
    """A value for which something holds."""
    return ValueRule(says, lambda value: None if holds(value) else f"expected {says}{otherwise}")


def matching(pattern: str, says: str, otherwise: str = "") -> ValueRule:
    """A text of this form, as a whole."""
    return expecting(says, re.compile(pattern, re.ASCII).fullmatch, otherwise)


def words(*allowed: str) -> ValueRule:
    """One of these words, exactly."""
    return expecting(f"{', '.join(allowed[:-1])} or {allowed[-1]}", allowed.__contains__)


def number(low: int, high: int | None = None) -> ValueRule:
    """A whole number from low to high, both included."""
    says = f"a number from {low} {'up' if high is None else f'to {high}'}"
    return expecting(says, lambda value: low <= int(value) <= (high or _INT64))


def age() -> ValueRule:
    """A duration that lies in the past."""
    return expecting("a duration such as 30s or 1h30m, from 0 up", lambda value: seconds(value) >= 0)


def patience(most: str) -> ValueRule:
    """A duration to wait, of at most another."""
    says = f"a duration of more than 0 and at most {most}"
    return expecting(says, lambda value: 0 < seconds(value) <= seconds(most))


def timeout(most: float) -> ValueRule:
    """A text that kubectl reads as a time limit: plain seconds or a duration. 0 means for ever, so it isn't allowed."""

    def holds(value: str) -> bool:
        text = value + "s" if value.isascii() and value.isdigit() else value
        return FlagType.DURATION.read(text) is not None and 0 < seconds(text) <= most

    return expecting(f"more than 0 and at most {most:g}s, as in 10s", holds)
