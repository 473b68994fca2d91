"""One container's log, line by line as it comes.

Regular expressions come from a model. RE2 takes time in proportion to the text, whatever the expression is, and bounded
memory; Python's own `re` may take longer than the universe has for `(a+)+$`.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

import re2

from agent.log_search.request import BadRequest, LogSearch

MATCHES_PER_CONTAINER = 50
LINE_CHARS = 500
"""How much of a line is shown."""

SEARCHED_CHARS = 64 * 1024
"""How much of a line is searched: a log without line ends must not fill the memory."""

_REGEX_BYTES = 8 << 20
_KEPT_CHARS = 20_000  # no answer shows more

Match = Callable[[str], object]


def compile_query(search: LogSearch) -> Match:
    """A function that says whether a line matches.

    Raises:
        BadRequest: the query is no regular expression that RE2 knows.
    """
    query = search.query
    if not search.use_regex:
        if search.case_sensitive:
            return lambda line: query in line
        query = query.lower()
        return lambda line: query in line.lower()
    options = re2.Options()
    options.case_sensitive = search.case_sensitive
    options.max_mem = _REGEX_BYTES
    options.log_errors = False
    try:
        return cast("Match", re2.compile(query, options).search)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise BadRequest(
            f"`query` is no regular expression of RE2's syntax ({why}). It has no look-around and no back-references; "
            "without use_regex the text is searched for as it is."
        ) from error


class Line(NamedTuple):
    """A line that is shown, cut if need be."""

    number: int
    matches: bool
    text: str


class Reader:
    """Takes a log piece by piece and keeps what is to be shown."""

    def __init__(self, match: Match, context_lines: int) -> None:
        self.lines = self.matches = 0
        self.shown: list[Line | None] = []
        """In order; None stands for a gap."""
        self.overlong = False
        """Some line was longer than what is searched of one."""
        self._match = match
        self._context = context_lines
        self._before: deque[tuple[int, str]] = deque(maxlen=context_lines)
        self._after = 0
        self._last_shown = self._kept = 0
        self._unfinished = ""

    def feed(self, text: str) -> None:
        """Take some text."""
        first, *more = text.split("\n")
        # Once it is too long nothing is added to it: what was joined beyond a gap could match, though no line did.
        self._unfinished += first[: max(0, SEARCHED_CHARS + 1 - len(self._unfinished))]
        for line in more:
            self._line(self._unfinished)
            self._unfinished = line

    def end(self) -> None:
        """There is no more."""
        if self._unfinished:
            self._line(self._unfinished)
            self._unfinished = ""

    def _line(self, line: str) -> None:
        self.lines += 1
        if len(line) > SEARCHED_CHARS:
            self.overlong, line = True, line[:SEARCHED_CHARS]
        if self._match(line):
            self.matches += 1
            if self.matches <= MATCHES_PER_CONTAINER:
                for number, earlier in self._before:
                    self._show(number, earlier, matches=False)
                self._show(self.lines, line, matches=True)
                self._after = self._context
                self._before.clear()
        elif self._after:
            self._after -= 1
            self._show(self.lines, line, matches=False)
        elif self._context:
            self._before.append((self.lines, line))

    def _show(self, number: int, line: str, *, matches: bool) -> None:
        if self._kept > _KEPT_CHARS:
            return
        if self._context and self._last_shown and number > self._last_shown + 1:
            self.shown.append(None)
        self._last_shown = number
        text = line[:LINE_CHARS] + ("…" if len(line) > LINE_CHARS else "")
        self._kept += len(text)
        self.shown.append(Line(number, matches, text))
