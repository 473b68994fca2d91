"""What the policy file says of redaction: rules switched off, names and patterns of one's own."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.redact.named import look, name_around
from agent.redact.names import PASSWORD
from agent.redact.rules import KINDS, RULES, Rule, exact, folded
from agent.redact.values import Taken

MAX_PATTERNS, MAX_KEYS, MAX_CHARS = 32, 64, 200
MANY = 256
"""`+` and `*` of a pattern are read as up to this many."""
MAX_WAYS = 10_000
"""The most ways in which one pattern can be tried at one place; each is a few steps, so a place costs about 1 ms."""


REDACT_KEYS = ("redact", "redact_off", "redact_patterns", "redact_keys")
"""Keys of the policy file."""


class RedactionError(ValueError):
    """What is wrong with one of these keys, in one sentence."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Which rules are at work."""

    on: bool = True
    off: tuple[str, ...] = ()
    """Kinds of rules that aren't."""
    patterns: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = RULES
    """What follows from the others."""


DEFAULT = Redaction()


def parse_redaction(values: Mapping[str, object]) -> Redaction:
    """From the policy file's `redact`, `redact_off`, `redact_patterns`, `redact_keys`; others aren't looked at.

    Raises:
        RedactionError: a value can't be used.
    """
    on = values.get("redact", True)
    if not isinstance(on, bool):
        raise RedactionError("redact is true or false")
    off = _strings(values, "redact_off", len(KINDS))
    if unknown := [kind for kind in off if kind not in KINDS]:
        raise RedactionError(f"redact_off: there is no rule {unknown[0]!r}; there are {', '.join(KINDS)}")
    patterns = _strings(values, "redact_patterns", MAX_PATTERNS)
    keys = _strings(values, "redact_keys", MAX_KEYS)
    own = [_pattern_rule(pattern) for pattern in patterns] + [_key_rule(key) for key in keys]
    return Redaction(on, off, patterns, keys, tuple(rule for rule in (*RULES, *own) if rule.kind not in off))


def _strings(values: Mapping[str, object], key: str, most: int) -> tuple[str, ...]:
    given = values.get(key, [])
    if not isinstance(given, list) or not all(isinstance(one, str) and len(one) <= MAX_CHARS for one in given):
        raise RedactionError(f"{key} is a list of strings, none longer than {MAX_CHARS} characters")
    if len(given) > most:
        raise RedactionError(f"{key} has {len(given)} entries, more than {most}")
    return tuple(given)


def _key_rule(key: str) -> Rule:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{3,64}", key):
        raise RedactionError(f"redact_keys: {key!r} is not a name: 3 to 64 letters, digits, and any of _ . -")

    def find(text: str, at: int) -> Iterable[Taken]:
        begin, end = name_around(text, at)
        return look(text, at, PASSWORD)[1] if text[begin:end].lower().endswith(key.lower()) else []

    return Rule("custom", folded(re.escape(key.lower())), find, f"the value of {key}", "", "the policy file")


def _pattern_rule(pattern: str) -> Rule:
    head, bounded = _checked(pattern)
    compiled = re.compile(bounded)

    def find(text: str, at: int) -> Iterator[Taken]:
        if match := compiled.match(text, at):
            yield Taken(*match.span(compiled.groups))

    return Rule("custom", exact(re.escape(head)), find, f"what matches {pattern}", "", "the policy file")


_ATOM = re.compile(
    r"""(?: (?P<literal>[^\\.^$*+?{}\[\]|()]|\\[^A-Za-z0-9]) | \\[dws] | \. | \[\^?(?:[^\[\]\\]|\\[^A-Za-z]|\\[dws])+\]
    )(?P<count>\?|\*|\+|\{(?P<least>\d{1,3})(?:,(?P<most>\d{0,3}))?\})? | (?P<group>\((?:\?:)?|\)|\|)""",
    re.VERBOSE,
)


def _checked(pattern: str) -> tuple[str, str]:
    """The literal that a pattern begins with, and the pattern with every count bounded.

    What can run long in a regex is a count within a count, and many counts in a row. So a count may stand only behind
    one character or class, and all together give at most MAX_WAYS ways to try. References and look-around, which need
    more thought, aren't part of this grammar; nor does anything match without a literal that leads to it.
    """
    at, ways, depth, head, bounded = 0, 1, 0, "", ""
    while atom := _ATOM.match(pattern, at):
        if atom["literal"] and not atom["count"] and len(head) == len(bounded.replace("\\", "")):
            head += atom["literal"][-1]
        bounded += atom[0].removesuffix(atom["count"] or "")
        if atom["count"]:
            least, most = _bounds(atom)
            ways *= max(1, most - least + 1)
            bounded += f"{{{least},{most}}}"
        depth += (atom["group"] or "")[:1] == "("
        depth -= atom["group"] == ")"
        ways *= (2 if depth else MAX_WAYS + 1) if atom["group"] == "|" else 1
        at = atom.end()
    try:
        groups = re.compile(bounded).groups
    except re.error:
        groups = 2
    if at < len(pattern) or len(head) < 3 or groups > 1 or ways > MAX_WAYS:
        raise RedactionError(
            f"redact_patterns: {pattern!r} can't be used. It begins with 3 characters or more that stand for "
            "themselves; behind them are characters, classes and alternatives in a group, at most one group that is "
            "taken; only one character or class can be counted, as in x{8,40}, and all counts together give at most "
            f"{MAX_WAYS} ways to try"
        )
    return head, bounded


def _bounds(atom: re.Match[str]) -> tuple[int, int]:
    if atom["least"] is None:
        return {"?": (0, 1), "*": (0, MANY), "+": (1, MANY)}[atom["count"]]
    least = int(atom["least"])
    return least, least if atom["most"] is None else int(atom["most"] or MANY)
