"""One container's log, line by line as it comes: what matches, and the lines around it."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MATCHES_PER_CONTAINER = 50
LINE_CHARS = 500  # how much of a line is shown
SEARCHED_CHARS = 64 * 1024  # how much of one is searched: a log without line ends must not fill the memory
_KEPT_CHARS = 20_000  # no answer shows more


class Line(NamedTuple):
    """A line that is shown, cut if need be."""

    number: int
    matches: bool
    text: str


class ContainerLog:
    """Takes a log piece by piece and keeps what is to be shown. `name` is as in web-0/app."""

    def __init__(self, name: str, match: Callable[[str], object], context_lines: int = 0) -> None:
        self.name = name
        self.error: str | None = None  # why it wasn't read, or not whole
        self.lines = self.matches = 0
        self.shown: list[Line] = []
        self.overlong = False  # whether some line was longer than what is searched of one
        self._match = match
        self._context = context_lines
        self._before: deque[Line] = deque(maxlen=context_lines)
        self._after = self._kept = 0
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

    def _line(self, text: str) -> None:
        self.lines += 1
        self.overlong = self.overlong or len(text) > SEARCHED_CHARS
        cut = text[:LINE_CHARS] + "…" if len(text) > LINE_CHARS else text
        line = Line(self.lines, bool(self._match(text[:SEARCHED_CHARS])), cut)
        self.matches += line.matches
        if line.matches and self.matches <= MATCHES_PER_CONTAINER:
            self._show(*self._before, line)
            self._before.clear()
            self._after = self._context
        elif self._after and not line.matches:
            self._show(line)
            self._after -= 1
        else:
            self._before.append(line)

    def _show(self, *lines: Line) -> None:
        for line in lines if self._kept <= _KEPT_CHARS else ():
            self.shown.append(line)
            self._kept += len(line.text)
