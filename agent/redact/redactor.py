"""Text in, text without credentials out, piece by piece.

The text is worked through in windows whose edges depend on the text alone, never on the pieces that it came in: so
each cut of a text gives the same result. Of each window the last part is only looked at (a name may follow its value)
and comes again, with some of what was passed before it. A value that reaches the window's end is left out until it
ends.
"""

import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from agent.redact.named import look
from agent.redact.rules import Rule
from agent.redact.settings import DEFAULT, Redaction
from agent.redact.values import NEAR, Ends

MARK = "<redacted>"
"""A string in YAML, JSON and URLs alike (`[redacted]` is a YAML list and breaks a URL; `***` is a YAML error)."""

_BARE = re.compile(r"""(\\*["'])[ ]*:[ ]*(?:\[\s*)?\Z""")
"""A number in JSON: what takes its place must be a string."""

_WORD = re.compile(r"""[^\s"'<>{}\[\]]{0,4096}""")

WINDOW = 256 * 1024
AHEAD = 2 * NEAR
SECONDS = 2.0
"""Of processor time for one window; ordinary ones take a thousandth of it."""

KNOWN_LINES, LINE_CHARS, AROUND = 4096, 256, 3
"""How many harmless lines are remembered, of what length, and how many lines before and after may matter."""
VALUES = 24
"""How many values are looked for again."""


class _Span(NamedTuple):
    start: int
    end: int
    kind: str
    ends: Ends | None


class Redactor:
    """One stream's text. stdout and stderr need one each.

    Args:
        redaction: what the policy file says.
        told: called with the kind and place (characters from the text's start) of each credential.
    """

    def __init__(
        self, redaction: Redaction = DEFAULT, told: Callable[[str, int], None] = lambda _kind, _at: None
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Credentials taken so far, by kind. `failed` counts the windows that were left out."""
        self._redaction = redaction
        self._told = told
        self._pieces: list[str] = []
        self._size = 0
        self._behind = ""
        self._passed = 0
        self._ends: Ends | None = None
        self._late = False
        self._harmless: set[str] = set()
        self._values: dict[str, None] = {}

    def feed(self, text: str) -> str:
        """Some more text; returns what is safe of all so far."""
        if not self._redaction.on:
            return text
        self._pieces.append(text)
        self._size += len(text)
        return self._work(last=False) if self._size >= WINDOW else ""

    def end(self, *, cut: bool = False) -> str:
        """No more text; returns the rest. `cut`: the text had more, so its last word may be half a credential."""
        if cut and self._redaction.on:
            text = "".join(self._pieces)
            backwards = _WORD.match(text[: -4096 - 1 : -1])  # a search for its beginning takes 11 s in one line of 2 MB
            self._pieces = [text[: len(text) - len(backwards[0] if backwards else "")]]
        return self._work(last=True)

    def _work(self, *, last: bool) -> str:
        text, at = "".join(self._pieces), 0
        out: list[str] = []
        while len(text) - at >= WINDOW or (last and at < len(text)):
            at += self._window(text[at : at + WINDOW], out, last=last and at + WINDOW >= len(text))
        self._pieces = [text[at:]]
        self._size = len(text) - at
        return "".join(out)

    def _window(self, window: str, out: list[str], *, last: bool) -> int:
        """Work through this window; returns how much of it is done."""
        text, begin = self._behind + window, len(self._behind)
        try:
            done = self._passed_on(text, begin, out, last=last)
        except Exception as error:
            # Whatever it is: rather no text than a credential. Time that ran out once isn't given again.
            self.counts["failed"] += 1
            self._ends, self._late, done = None, isinstance(error, TimeoutError), len(text)
            out.append(f"\n<{len(window)} characters left out: redaction failed ({type(error).__name__})>\n")
        self._passed += done - begin
        start = max(0, done - NEAR)
        self._behind = text[text.find("\n", start, done) + 1 or start : done]
        return done - begin

    def _passed_on(self, text: str, begin: int, out: list[str], *, last: bool) -> int:
        """Give out what is safe, and the marks; returns up to where."""
        at, cut = begin, len(text)
        if self._ends:
            at = max(begin, self._ends(text, begin))
            self._ends = self._ends if at == len(text) else None
        if not last:
            limit = len(text) - AHEAD
            cut = max(text.rfind("\n", at, limit) + 1 or limit, at)
        offset = self._passed - begin
        for span in self._spans(text) if at < len(text) else ():
            if span.end > at and span.start < cut:
                start = max(span.start, at)
                bare = _BARE.search(text, max(0, start - 24), start)
                out += (text[at:start], f"{bare[1]}{MARK}{bare[1]}" if bare else MARK)
                at = span.end
                cut = max(cut, at)
                self.counts[span.kind] += 1
                self._told(span.kind, offset + start)
                self._ends = span.ends if at == len(text) and not last else None
        out.append(text[at:cut])
        return cut

    def _spans(self, text: str) -> list[_Span]:
        """All credentials in order; those that overlap as one."""
        low = text.lower() if text.isascii() else text.replace("\u0130", "i").lower()  # of the same length
        until = 0.0 if self._late else time.thread_time() + SECONDS
        found = [span for rule in self._redaction.rules for span in self._by(rule, text, low, until)]
        if "repeated" not in self._redaction.off:
            found += self._again(text, found)
        merged: list[_Span] = []
        for span in sorted(found, key=lambda span: span[:2]):
            if not merged or span.start >= merged[-1].end:
                merged.append(span)
            elif span.end > merged[-1].end:
                merged[-1] = merged[-1]._replace(end=span.end, ends=span.ends)
        return merged

    def _by(self, rule: Rule, text: str, low: str, until: float) -> Iterator[_Span]:
        """What this rule takes. What lies within one credential isn't looked at again."""
        places, done = rule.places(text, low), 0
        for count, at in enumerate(self._unknown(text, places) if rule.kind == "named" else places):
            if not count % 32 and time.thread_time() > until:
                raise TimeoutError
            for taken in rule.find(text, at) if at >= done else ():
                done = taken.end
                yield _Span(taken.start, taken.end, rule.kind, taken.ends)

    def _unknown(self, text: str, places: list[int]) -> Iterator[int]:
        """Those that aren't in a line known as harmless: of the lines of objects most come again and again."""
        end, harmless = -1, False
        for number, at in enumerate(places):
            if at > end:
                start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
                end = len(text) if end < 0 else end
                whole = start > 0 and end < len(text) and end - start <= LINE_CHARS
                harmless = whole and (
                    text[start:end] in self._harmless
                    or self._known(text, start, end, places[number : bisect_left(places, end)])
                )
            if not harmless:
                yield at

    def _known(self, text: str, start: int, end: int, places: list[int]) -> bool:
        """Whether nothing is to take on this line: by itself, or with the lines around it."""
        first, after = start - 1, end
        for _ in range(AROUND):
            first, after = text.rfind("\n", 0, max(0, first)), text.find("\n", after + 1)
        around = text[first + 1 : after] if first > 0 and after > 0 else ""
        if around in self._harmless:
            return True
        looks = [look(text, at) for at in places]
        if any(found for _, found in looks):
            return False
        if len(self._harmless) >= KNOWN_LINES:
            self._harmless.clear()
        if all(settled for settled, _ in looks):
            self._harmless.add(text[start:end])
        elif around and len(around) <= 4 * LINE_CHARS:
            self._harmless.add(around)
        return True

    def _again(self, text: str, found: list[_Span]) -> Iterator[_Span]:
        """Values that were taken by their name, where they stand again without it."""
        for span in found:
            value = text[span.start : span.end]
            odd = any(c.isdigit() for c in value) and any(c.isalpha() for c in value) and "\n" not in value
            if span.kind == "named" and 8 <= len(value) <= 128 and odd and len(self._values) < VALUES:
                self._values[value] = None
        for value in self._values:
            at = text.find(value)
            while at >= 0:
                yield _Span(at, at + len(value), "repeated", None)
                at = text.find(value, at + len(value))
