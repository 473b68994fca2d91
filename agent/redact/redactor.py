"""Text in, text without credentials out, piece by piece.

The text is worked through in windows whose edges depend on the text alone, never on the pieces that it came in: so
each cut of a text gives the same result. Of each window the last part is only looked at (a name may follow its value)
and comes again, with some of what was passed before it. A value that reaches the window's end is left out until it
ends.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator

from agent.redact.rules import search
from agent.redact.settings import DEFAULT, Redaction
from agent.redact.values import NEAR, Ends, Find, Taken

MARK = "<redacted>"
"""A string in YAML, JSON and URLs alike (`[redacted]` is a YAML list and breaks a URL; `***` is a YAML error)."""

_BARE = re.compile(r"""(\\*["'])[ ]*:[ ]*(?:\[\s*)?\Z""")
"""A number in JSON: what takes its place must be a string."""

_WORD = re.compile(r"""[^\s"'<>{}\[\]]{0,4096}""")

WINDOW = 256 * 1024
AHEAD = 2 * NEAR
SECONDS = 2.0
"""Of processor time for one window; ordinary ones take a thousandth of it."""

VALUES = 24
"""How many values are looked for again."""


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
        self._places = search(redaction.rules)
        self._told = told
        self._pieces: list[str] = []
        self._size = 0
        self._behind = ""
        self._passed = 0
        self._ends: Ends | None = None
        self._late = False
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

    def _spans(self, text: str) -> list[Taken]:
        """All credentials in order; those that overlap as one."""
        found = list(self._found(text))
        if "repeated" not in self._redaction.off:
            found += self._again(text, found)
        merged: list[Taken] = []
        for span in sorted(found, key=lambda span: span[:2]):
            if not merged or span.start >= merged[-1].end:
                merged.append(span)
            elif span.end > merged[-1].end:
                merged[-1] = merged[-1]._replace(end=span.end, ends=span.ends)
        return merged

    def _found(self, text: str) -> Iterator[Taken]:
        """What each rule takes. What lies within one credential isn't looked at again by the same rule."""
        until = 0.0 if self._late else time.thread_time() + SECONDS
        done: dict[Find, int] = {}
        for number, (at, rules) in enumerate(self._places(text)):
            for rule in rules:
                for taken in rule.find(text, at) if at >= done.get(rule.find, 0) else ():
                    done[rule.find] = taken.end
                    yield taken._replace(kind=rule.kind)
            if not number % 32 and time.thread_time() > until:
                raise TimeoutError

    def _again(self, text: str, found: list[Taken]) -> Iterator[Taken]:
        """Values that were taken by their name, where they stand again without it."""
        for span in found:
            value = text[span.start : span.end]
            odd = any(c.isdigit() for c in value) and any(c.isalpha() for c in value) and "\n" not in value
            if span.kind == "named" and 8 <= len(value) <= 128 and odd and len(self._values) < VALUES:
                self._values[value] = None
        for value in self._values:
            at = text.find(value)
            while at >= 0:
                yield Taken(at, at + len(value), kind="repeated")
                at = text.find(value, at + len(value))
