"""What the policy file says of redaction: rules switched off, names and patterns of one's own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import re2

from agent.errors import PolicyError
from agent.redact import named
from agent.redact.rules import KINDS, RULES, Rule, anywhere

REDACT_KEYS = ("redact", "redact_off", "redact_patterns", "redact_keys")
"""Keys of the policy file."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Which rules are at work, and the kinds of those that are not."""

    on: bool = True
    off: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = RULES


DEFAULT = Redaction()


def parse_redaction(values: Mapping[str, object]) -> Redaction:
    """From the policy file's `redact`, `redact_off`, `redact_patterns`, `redact_keys`; others aren't looked at.

    Raises:
        PolicyError: a value can't be used.
    """
    on = values.get("redact", True)
    if not isinstance(on, bool):
        raise PolicyError("redact is true or false")
    off = _strings(values, "redact_off", len(KINDS))
    if unknown := [kind for kind in off if kind not in KINDS]:
        raise PolicyError(f"redact_off: there is no rule {unknown[0]!r}; there are {', '.join(KINDS)}")
    patterns = [_pattern_rule(pattern) for pattern in _strings(values, "redact_patterns", 32)]
    keys = [_key_rule(key) for key in _strings(values, "redact_keys", 64)]
    return Redaction(on, off, tuple(rule for rule in (*RULES, *patterns, *keys) if rule.kind not in off))


def _strings(values: Mapping[str, object], key: str, most: int) -> tuple[str, ...]:
    given = values.get(key, [])
    if not isinstance(given, list) or len(given) > most or not all(isinstance(e, str) and len(e) <= 200 for e in given):
        raise PolicyError(f"{key} is a list of at most {most} strings, none longer than 200 characters")
    return tuple(given)


def _key_rule(key: str) -> Rule:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{3,64}", key):
        raise PolicyError(f"redact_keys: {key!r} is not a name: 3 to 64 letters, digits, and any of _ . -")
    return Rule("custom", (key.lower(),), partial(named.find, own=key.lower()), f"the value of {key}", "")


def _pattern_rule(pattern: str) -> Rule:
    try:
        return Rule("custom", (), anywhere(pattern), f"what matches {pattern}", "")
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise PolicyError(f"redact_patterns: {pattern!r} is no regular expression of RE2's syntax ({why})") from error
