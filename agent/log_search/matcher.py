"""One container's log, line by line as it comes.

Regular expressions come from a model. RE2 takes time in proportion to the text, whatever the expression is, and bounded
memory; Python's own `re` may take longer than the universe has for `(a+)+$`.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import re2

from agent.log_search.request import BadRequest, LogSearch

MATCHES_PER_CONTAINER = 50
LINE_CHARS = 500
"""How much of a line is shown."""

_LONGEST_LINE_CHARS = 64 * 1024  # what is beyond isn't searched: a log without line ends must not fill the memory
_REGEX_BYTES = 8 << 20

Match = Callable[[str], object]


def compile_query(search: LogSearch) -> Match:
    """A function that says whether a line matches.

    Raises:
        BadRequest: the query is no regular expression that RE2 knows.
    """
    if not search.use_regex:
        query = search.query
        if search.case_sensitive:
            return lambda line: query in line
        query = query.lower()
        return lambda line: query in line.lower()
    options = re2.Options()
    options.case_sensitive = search.case_sensitive
    options.max_mem = _REGEX_BYTES
    options.log_errors = False
    try:
        pattern = re2.compile(search.query, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise BadRequest(
            f"`query` is no regular expression of RE2's syntax ({why}). It has no look-around and no back-references; "
            "without use_regex the text is searched for as it is."
        ) from error
    return cast("Match", pattern.search)


@dataclass(slots=True)
class Found:
    """What a log has: `shown` are lines with their number, whether they match, in order; None stands for a gap."""

    lines: int = 0
    matches: int = 0
    shown: list[tuple[int, bool, str] | None] = field(default_factory=list)


class Reader:
    """Takes a log piece by piece and keeps what is to be shown."""

    def __init__(self, match: Match, context_lines: int) -> None:
        self.found = Found()
        self._match = match
        self._context = context_lines
        self._before: deque[tuple[int, str]] = deque(maxlen=context_lines)
        self._after = 0
        self._last_shown = 0
        self._unfinished = ""

    def feed(self, text: str) -> None:
        """Take some text."""
        *lines, unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._line(line)
        self._unfinished = unfinished[:_LONGEST_LINE_CHARS]

    def end(self) -> None:
        """There is no more."""
        if self._unfinished:
            self._line(self._unfinished)
            self._unfinished = ""

    def _line(self, line: str) -> None:
        found = self.found
        found.lines += 1
        if self._match(line):
            found.matches += 1
            if found.matches <= MATCHES_PER_CONTAINER:
                for number, earlier in self._before:
                    self._show(number, earlier, match=False)
                self._show(found.lines, line, match=True)
                self._after = self._context
                self._before.clear()
            return
        if self._after:
            self._after -= 1
            self._show(found.lines, line, match=False)
        elif self._context:
            self._before.append((found.lines, line))

    def _show(self, number: int, line: str, *, match: bool) -> None:
        if self._context and self._last_shown and number > self._last_shown + 1:
            self.found.shown.append(None)
        self._last_shown = number
        self.found.shown.append((number, match, line[:LINE_CHARS] + ("…" if len(line) > LINE_CHARS else "")))
