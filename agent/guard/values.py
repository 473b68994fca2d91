"""The values of flags: the types of kubectl's flag library, and which of their values are allowed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

# Go's strconv.ParseBool, exactly.
_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), "true")
_BOOLEANS |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), "false")
_OCTAL = re.compile(r"^([+-]?0)(?=[_0-7])")
_DURATION = re.compile(r"([+-]?)(0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_PART = re.compile(r"([0-9.]+)([a-zµμ]+)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class FlagType(Enum):
    """The text completes the sentence about a wrong value."""

    BOOL = "true or false"  # `--flag` means true; a value only with `=`
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
        return None if self is FlagType.DURATION and seconds(value) is None else value


def _whole_number(value: str) -> str | None:
    """As Go's strconv.ParseInt with base 0: as Python reads it, but a leading 0 alone means octal too."""
    try:
        number = int(_OCTAL.sub(r"\1o", value), 0)
    except ValueError:
        return None
    return str(number) if -(2**63) <= number < 2**63 and value.isascii() and " " not in value else None


def seconds(duration: str) -> float | None:
    """A duration in seconds; None if it is none."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        return None
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(found[2]))
    return -total if found[1] == "-" else total


@dataclass(frozen=True, slots=True)
class ValueRule:
    """What a flag's value may be."""

    type: FlagType
    says: str = ""  # what is allowed, for people
    complaint: Callable[[str], str | None] = lambda _: None
    """What is wrong with a value (it ends the sentence "--flag=value is not allowed: …"), or None."""


def matching(type_: FlagType, pattern: str, says: str, otherwise: str = "") -> ValueRule:
    """A value that matches a pattern as a whole. `otherwise`: what to say of one that doesn't."""
    form, wrong = re.compile(pattern, re.ASCII), otherwise or f"expected {says}"
    return ValueRule(type_, says, lambda value: None if form.fullmatch(value) else wrong)


def lasting(type_: FlagType, most: str) -> ValueRule:
    """A time to wait, of more than 0 (which means for ever) and at most another; as a text, plain seconds will do."""
    says, limit = f"a duration of more than 0 and at most {most}", seconds(most) or 0

    def complaint(value: str) -> str | None:
        asked = seconds(f"{value}s" if value.isdigit() else value) or 0
        return None if 0 < asked <= limit else f"expected {says}"

    return ValueRule(type_, says, complaint)
