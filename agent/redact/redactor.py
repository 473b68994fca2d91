"""Text in, text without credentials out, piece by piece.

The text is worked through in windows whose edges depend on the text alone, never on the pieces that it came in: so
each cut of a text gives the same result. Of each window the last part is only looked at (a name may follow its value)
and comes again, with some of what was before it. A value that reaches the window's end is left out until it ends.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator

from agent.redact.rules import DEFAULT, Redaction, places
from agent.redact.values import Ends, Find, Taken

MARK = "<redacted>"
"""A string in YAML, JSON and URLs alike (`[redacted]` is a YAML list and breaks a URL; `***` is a YAML error)."""

WINDOW, AHEAD, BEHIND = 256 * 1024, 8 * 1024, 4 * 1024
"""How many characters are worked through at once, and how many of them again with the previous and the next ones."""

SECONDS = 2.0  # of processor time for one window; ordinary windows take a thousandth of that

_NUMBER = re.compile(r"""(\\*["'])[ ]*:[ ]*(?:\[\s*)?\Z""")
"""Before a number in JSON: what takes its place must be a string."""


class Redactor:
    """One stream's text: stdout and stderr need one each. `explain`: each mark says which rule took what was there."""

    def __init__(self, redaction: Redaction = DEFAULT, *, explain: bool = False) -> None:
        self.counts: Counter[str] = Counter()  # credentials taken so far, by kind; `failed`: windows that were left out
        self._redaction, self._explain = redaction, explain
        self._pieces: list[str] = []
        self._size = self._begin = 0  # of what isn't worked through, and where that begins in the pieces
        self._ends: Ends | None = None
        self._seconds = SECONDS

    def feed(self, text: str) -> str:
        """Some more text; returns what is safe of all so far, in pieces of about `WINDOW` characters."""
        self._pieces.append(text)
        self._size += len(text)
        return self._work(last=False) if self._size >= WINDOW else ""

    def end(self, *, cut: bool = False) -> str:
        """No more text; returns the rest. `cut`: the text had more, so its last word may be half a credential."""
        if cut and self._redaction.on:
            text = "".join(self._pieces)
            begun = re.split(r"""[\s"'<>{}\[\]]""", text[max(self._begin, len(text) - 4096) :])[-1]
            self._pieces = [text[: len(text) - len(begun)]]
        return self._work(last=True)

    def _work(self, *, last: bool) -> str:
        text, begin, out = "".join(self._pieces), self._begin, ""
        if not self._redaction.on:
            self._pieces, self._size = [], 0
            return text
        while len(text) - begin >= WINDOW or (last and begin < len(text)):
            low, high = max(0, begin - BEHIND), begin + WINDOW
            is_last = last and high >= len(text)
            if not is_last:
                high = text.rfind("\n", begin + WINDOW // 2, high) + 1 or high
            try:
                done, safe = self._window(text[low:high], begin - low, last=is_last)
            except Exception as error:
                # Whatever it is: rather no text than a credential. Time that ran out once isn't given again.
                self.counts["failed"] += 1
                self._ends, self._seconds = None, -1.0 if isinstance(error, TimeoutError) else self._seconds
                done = min(high, len(text)) - low
                left_out = f"{low + done - begin} characters left out: redaction failed ({type(error).__name__})"
                safe = f"\n<{left_out}>\n"
            begin = low + done
            out += safe
        low = max(0, begin - BEHIND)
        self._pieces, self._size, self._begin = [text[low:]], len(text) - begin, begin - low
        return out

    def _window(self, text: str, begin: int, *, last: bool) -> tuple[int, str]:
        """Work through this from `begin` on; returns where it goes on, and what is safe up to there."""
        at, out = self._ends(text, begin) if self._ends else begin, list[str]()
        self._ends = self._ends if at == len(text) else None
        cut = len(text) if last else max(text.rfind("\n", at, len(text) - AHEAD) + 1 or len(text) - AHEAD, at)
        for kind, span in sorted(self._found(text), key=lambda found: found[1][:2]) if at < len(text) else ():
            if at < span.end and span.start < cut:
                if span.start > at or not out:  # those that overlap are one
                    start = max(span.start, at)
                    number = text[start] in "-0123456789" and _NUMBER.search(text, max(0, start - 24), start)
                    quote = number[1] if number else ""
                    out += (text[at:start], quote, f"<redacted by {kind}>" if self._explain else MARK, quote)
                    self.counts[kind] += 1
                at = span.end
                cut = max(cut, at)
                self._ends = span.ends if at == len(text) else None
        return cut, "".join(out) + text[at:cut]

    def _found(self, text: str) -> Iterator[tuple[str, Taken]]:
        """What each rule takes. What lies within one credential isn't looked at again by the same rule."""
        until = time.thread_time() + self._seconds
        done: dict[Find, int] = {}
        for number, (at, rules) in enumerate(places(self._redaction.rules, text)):
            for rule in rules:
                for taken in rule.find(text, at) if at >= done.get(rule.find, 0) else ():
                    done[rule.find] = taken.end
                    yield rule.kind, taken
            if not number % 32 and time.thread_time() > until:
                raise TimeoutError
