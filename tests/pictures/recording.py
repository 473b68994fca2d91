"""A program on a terminal of its own, and what was on each row of it, and when."""

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS, ROWS = 97, 32
CHECKOUT = f"{Path(__file__).parents[2]}/"

_TOKEN = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")
_ERASE_TO_END, _STYLE = "K", "m"


@dataclass(frozen=True)
class Run:
    """Letters of one style beside each other."""

    column: int
    text: str
    codes: tuple[str, ...]
    """Of ECMA-48's SGR: "1" bold, "2" faint, "31" red …"""


@dataclass
class Shown:
    """What a row showed from one moment until another."""

    row: int
    runs: tuple[Run, ...]
    since: float
    until: float | None = None
    """None: to the end."""


@dataclass
class Recording:
    """Everything that was on the screen. Rows count from the first one ever; the screen scrolls down over them."""

    shown: list[Shown] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return max((s.row for s in self.shown), default=0) + 1


def record(command: Sequence[str], environ: dict[str, str]) -> tuple[Recording, int]:
    """Run a command until it ends; its recording and its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environ, "TERM": "xterm"}, close_fds=True
    )
    os.close(theirs)
    began, pieces, decoder = time.monotonic(), [], codecs.getincrementaldecoder("utf-8")()
    try:
        while data := os.read(ours, 65536):
            pieces.append((time.monotonic() - began, decoder.decode(data)))
    except OSError:  # how Linux says that nobody has the other end any more
        pass
    os.close(ours)
    return played(pieces), process.wait()


def played(pieces: Sequence[tuple[float, str]]) -> Recording:
    """What a terminal makes of what was written to it. It knows no more than the demo uses."""
    screen = _Screen()
    for at, text in pieces:
        for match in _TOKEN.finditer(text):
            screen.take(match)
        screen.look(at)
    return Recording([_anywhere(shown) for shown in screen.shown if shown.runs])


def _anywhere(shown: Shown) -> Shown:
    """The same without the path of this checkout, which is different for everybody."""
    runs = tuple(Run(run.column, run.text.replace(CHECKOUT, ""), run.codes) for run in shown.runs)
    return Shown(shown.row, runs, shown.since, shown.until)


class _Screen:
    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self._rows: dict[int, dict[int, tuple[str, tuple[str, ...]]]] = {}
        self._row = self._column = 0
        self._codes: tuple[str, ...] = ()
        self._changed: set[int] = set()
        self._latest: dict[int, Shown] = {}

    def take(self, match: re.Match[str]) -> None:
        """One thing that was written."""
        if match[2] == _STYLE:
            given = [code for code in match[1].split(";") if code and code != "0"]
            self._codes = (*self._codes, *given) if given else ()
        elif match[2] == _ERASE_TO_END:
            cells = self._rows.get(self._row, {})
            self._rows[self._row] = {column: cell for column, cell in cells.items() if column < self._column}
            self._changed.add(self._row)
        elif match[2]:
            raise ValueError(f"the terminal doesn't know {match[0]!r}")
        elif match[0] == "\r":
            self._column = 0
        elif match[0] == "\n":
            self._row += 1
        else:
            for letter in match[0]:
                self._rows.setdefault(self._row, {})[self._column] = (letter, self._codes)
                self._column += 1
            self._changed.add(self._row)

    def look(self, at: float) -> None:
        """Note what has changed."""
        for row in sorted(self._changed):
            runs = _runs(self._rows.get(row, {}))
            before = self._latest.get(row)
            if before is not None and before.runs == runs:
                continue
            if before is not None:
                before.until = at
            self._latest[row] = Shown(row, runs, at)
            self.shown.append(self._latest[row])
        self._changed.clear()


def _runs(cells: dict[int, tuple[str, tuple[str, ...]]]) -> tuple[Run, ...]:
    runs: list[Run] = []
    for column in sorted(cells):
        letter, codes = cells[column]
        last = runs[-1] if runs else None
        if last and last.codes == codes and last.column + len(last.text) == column:
            runs[-1] = Run(last.column, last.text + letter, codes)
        else:
            runs.append(Run(column, letter, codes))
    return tuple(run for run in runs if run.text.strip())
