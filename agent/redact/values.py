"""Where a value ends, in each of the forms that kubectl prints. A value may be longer than the text at hand: each of
these can go on in the next, where it stopped.

Patterns repeat a group as `(?>(?:…)*)`, never as `(?:…)*+`: before CPython 3.11.5 and 3.12 the latter ends amid what
it should take (gh-106052). Debian 12 has 3.11.2.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

Ends = Callable[[str, int], int]
"""(text, at) → where the value ends that goes on at `at`. The text's length if it may go on after that."""

NEAR = 4096
"""Characters within which a value and its name, or the keys of one object, are looked for."""


class Taken(NamedTuple):
    """A credential."""

    start: int
    end: int
    ends: Ends | None = None
    kind: str = ""
    """That of the rule that took it."""


Find = Callable[[str, int], Iterable[Taken]]
"""(text, where the anchor begins) → credentials."""


def _to(pattern: str) -> Ends:
    compiled = re.compile(pattern, re.VERBOSE | re.ASCII)

    def ends(text: str, at: int) -> int:
        match = compiled.match(text, at)
        return match.end() if match else at

    return ends


word = _to(
    r"""(?>(?: [^\s"'<>\\\x1b&;,)\]}`.] | \.(?!\s|$) | (?:&|\\+u0026)(?![\w.-]+=)
    | ,(?![\s"'\\]|$|\w[\w.-]{0,40}[=:]) | ;(?![\s"'\\]|$|[ ]?\w[\w .-]{0,40}[=:])
    | [)\]}](?![\s"'\\,;:)\]}]|\.\s|\.?$) )*)"""
)
"""Up to a blank, a quote, or a delimiter that something else follows."""
bare_word = _to(r"(?>(?:[^\s&;,] | [&;,](?![\w.-]+=))*)")
"""The same where quotes are part of it: a line of an environment file."""
run = _to(r"(?>(?:[\w+/=~-]|\.+(?=[\w+/=~-]|\Z))*)")
"""Characters of base64, of URLs' base64, and dots between them."""
line = _to(r"(?>(?:[^\n\r\\]|\\(?!n\\?(?:\n|\Z)))*)")
r"""The rest of the line. KYAML writes \n\ at its end."""
logical_line = _to(r'(?>(?:[^"\n\r\\]|\\(?![nrt"\\]))*)')
r"""The rest of a line inside a quoted string, where line ends are written \n."""
tag = _to(r"(?>(?:(?!\\+u003c)[^<\n])*)")
"""The inside of an XML element."""

_STAMP = r"(?:\[pod/[^\s\]]{1,400}\][ ])?(?:\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+-]\d\d:\d\d)[ ])?"
"""What `kubectl logs --prefix --timestamps` writes before each line."""
_HALF_STAMP = r"(?:\[[^\s\]]{0,400}(?:\][ ]?)?)?(?:\d[\dTZ:.+-]{0,40}[ ]?)?"
_STAMPED, _HALF_STAMPED = re.compile(_STAMP), re.compile(_HALF_STAMP)

BREAK = rf"""(?>(?:\\+[nrt])*)[\s>|"',]*+\\?+[\s>|"',]*+{_STAMP}"""
_key_lines = _to(
    rf"""[A-Za-z0-9+/=]*+ (?>(?: {BREAK} (?: (?:Proc-Type|DEK-Info|Version|Comment|Hash):[^\n\\]*+
    | [A-Za-z0-9+/=]{{16,}}+ (?![ ]?[\w:])
    | [A-Za-z0-9+/=]{{1,76}}+ (?={BREAK}(?:=[A-Za-z0-9+/]{{4}}{BREAK})?(?:-----END|$)) ) )*)
    (?: \n {_HALF_STAMP} \Z )?"""
)
"""At the text's end it takes the line's end too: a window that ends there mustn't end the key."""


def key_block(text: str, at: int) -> int:
    """Base64 in lines, however these end, and the headers of old keys. A window may begin within a line's stamp."""
    start = text.rfind("\n", 0, at) + 1
    if _HALF_STAMPED.fullmatch(text, start, at) and (stamp := _STAMPED.match(text, start)):
        at = max(at, stamp.end())
    return _key_lines(text, at)


_UNFOLDED = re.compile(r"\n(?=[^\s])")
"""A line end, but none at which YAML folds a long scalar: the next line is deeper then."""


def quoted(quote: str) -> Ends:
    r"""Up to this closing quote, as `"`, `'`, or in JSON within JSON `\"` or `\\\"`.

    In a string n levels deep a quote has 2^n - 1 backslashes; what stands within it has more, so a quote ends the
    value if the backslashes before it are that many, after pairs for escaped backslashes are taken off.
    """
    mark, slashes = quote[-1], len(quote) - 1

    def ends(text: str, at: int) -> int:
        unfolded = _UNFOLDED.search(text, at)
        stop = unfolded.start() if unfolded else len(text)
        while (found := text.find(mark, at, stop)) >= 0:
            before = len(text[max(0, found - 64) : found].rstrip("\\")) + max(0, found - 64)
            doubled = mark == "'" and text[found + 1 : found + 2] == "'"
            if (found - before) % (2 * slashes + 2) == slashes and not doubled:
                return found - slashes
            at = found + 1 + doubled
        return stop

    return ends


def block(indent: int) -> Ends:
    """Lines that are deeper than `indent`, and empty ones between them."""
    deeper = _to(rf"[^\n]*+(?>(?:\n[ \t\r]*+(?=\n)|\n[ ]{{{indent + 1},}}+[^\n]*+)*)(?:\n[ ]*+$)?")

    def ends(text: str, at: int) -> int:
        end = deeper(text, at)
        return end if end == len(text) else len(text[:end].rstrip())

    return ends
