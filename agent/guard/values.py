"""Types of flag values as kubectl's flag library reads them, and rules for what a value may be."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}  # Go's strconv.ParseBool, exactly
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
# Go's strconv.ParseInt with base 0: a leading 0 means octal, and digits may be grouped with "_".
_INTEGER = re.compile(
    r"([+-]?)(?:0[xX]((?:_?[0-9a-fA-F])+)|0[bB]((?:_?[01])+)|0[oO]?((?:_?[0-7])+)|(0|[1-9](?:_?[0-9])*))"
)
_DURATION = re.compile(r"[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_PART = re.compile(r"([0-9.]+)([a-zµμ]+)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_INT64 = 2**63


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
        match self:
            case FlagType.BOOL:
                return "true" if value in _TRUE else "false" if value in _FALSE else None
            case FlagType.INT:
                return _whole_number(value)
            case FlagType.DURATION:
                return value if _DURATION.fullmatch(value) else None
            case _:
                return value


def _whole_number(value: str) -> str | None:
    found = _INTEGER.fullmatch(value)
    if not found:
        return None
    sign, *digits = found.groups()
    base, text = next((base, text) for base, text in zip((16, 2, 8, 10), digits, strict=True) if text is not None)
    number = int(sign + text.replace("_", ""), base) if len(text) < 100 else _INT64
    return str(number) if -_INT64 <= number < _INT64 else None


def seconds(duration: str) -> float:
    """How long a duration is that `FlagType.DURATION` took."""
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))
    return -total if duration.startswith("-") else total


@dataclass(frozen=True, slots=True)
class Rule:
    """What a flag's value may be."""

    says: str
    """For people: what is allowed."""
    complaint: Callable[[str], str | None]
    """What is wrong with a value (it ends the sentence "--flag=value is not allowed: …"), or None."""


def anything() -> Rule:
    """Whatever the type allows: the value only selects from what was fetched anyway."""
    return Rule("", lambda _: None)


def only(value: str, why: str) -> Rule:
    """A flag that may be named, but change nothing."""
    return Rule(f"only {value}", lambda given: None if given == value else why)


def matching(pattern: str, says: str, otherwise: str = "") -> Rule:
    """A text of this form, as a whole."""
    fits = re.compile(pattern, re.ASCII).fullmatch
    return Rule(says, lambda value: None if fits(value) else f"expected {says}{otherwise}")


def words(*allowed: str) -> Rule:
    """One of these words, exactly."""
    says = ", ".join(allowed)
    return Rule(
        says,
        lambda value: (
            None if value in allowed else f"expected one of {says}" if len(allowed) > 1 else f"expected {says}"
        ),
    )


def number(low: int, high: int | None = None) -> Rule:
    """A whole number from low to high, both included."""
    says = f"a number from {low} up" if high is None else f"a number from {low} to {high}"
    return Rule(
        says,
        lambda value: None if low <= int(value) and (high is None or int(value) <= high) else f"expected {says}",
    )


def age() -> Rule:
    """A duration that lies in the past."""
    says = "a duration such as 30s or 1h30m, from 0 up"
    return Rule(says, lambda value: None if seconds(value) >= 0 else f"expected {says}")


def patience(most: str) -> Rule:
    """A duration to wait, of at most another."""
    says = f"a duration of more than 0 and at most {most}"
    return Rule(says, lambda value: None if 0 < seconds(value) <= seconds(most) else f"expected {says}")


def timeout(most: float) -> Rule:
    """A text that kubectl reads as a time limit: plain seconds or a duration. 0 means for ever, so it isn't allowed."""
    says = f"more than 0 and at most {most:g}s, as in 10s"

    def complaint(value: str) -> str | None:
        text = value + "s" if value.isascii() and value.isdigit() else value
        return None if FlagType.DURATION.read(text) and 0 < seconds(text) <= most else f"expected {says}"

    return Rule(says, complaint)
