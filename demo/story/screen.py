"""How the demo looks: at most 80 columns, sane at 40, a line that lives on a terminal, and plain text without one."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

_WIDEST, _NARROWEST = 80, 30
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Screen:
    """Everything that the demo prints goes through here."""

    def __init__(self, out: TextIO = sys.stdout, environ: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self.terminal = out.isatty() and environ.get("TERM", "") != "dumb"
        self._colour = self.terminal and not environ.get("NO_COLOR")
        columns = shutil.get_terminal_size().columns if self.terminal else _WIDEST
        self.width = max(min(columns, _WIDEST), _NARROWEST)
        self._live = ""

    def line(self, text: str = "", *styles: str) -> None:
        """One line as it is, however long: what is to be copied must not be broken."""
        self._write("\r\x1b[K" if self._live else "", self._styled(text, *styles), "\n", self._live)

    def act(self, number: int, title: str) -> None:
        """A new act."""
        self.line()
        self._wrapped(f"{number}  {title}", "   ", "bold", "cyan", first="")

    def say(self, text: str, *styles: str) -> None:
        """A paragraph of the story."""
        self._wrapped(text, "   ", *styles)

    def command(self, words: str, right: str) -> None:
        """What was asked, and at the right how long it took."""
        rows = textwrap.wrap(words, self.width - len(right) - 6, break_on_hyphens=False)
        gap = " " * (self.width - len(right) - 5 - len(rows[0]))
        self.line(f"   {self._styled(f'$ {rows[0]}', 'bold')}{gap}{self._styled(right, 'dim')}")
        for row in rows[1:]:
            self.line(f"     {row}", "bold")

    def answer(self, rows: Iterable[str], *styles: str) -> None:
        """What was answered."""
        for row in rows:
            fits = len(row) <= self.width - 5
            # A row of a table that is too wide loses its columns before it loses a word.
            self._wrapped(row if fits else re.sub(" {2,}", "  ", row), "     ", *styles)

    def finding(self, right: bool | None, count: str, words: str) -> None:
        """A row of the table at the end."""
        mark = {True: self._styled("ok", "green"), False: self._styled("NO", "red", "bold"), None: "  "}[right]
        first, *rest = textwrap.wrap(words, self.width - 17)
        self.line(f"   {mark} {count:>8}   {first}")
        for row in rest:
            self.line(f"{'':17}{row}")

    def live(self, text: str) -> None:
        """Replace the live line, on a terminal. The next `settle` ends it."""
        if self.terminal and text != self._live:
            self._write("\r\x1b[K" if self._live else "", "", "", f"   {text}"[: self.width])

    def settle(self, text: str) -> None:
        """End the live line, leaving `text` as an ordinary one."""
        if self._live:
            self._write("\r\x1b[K", "", "", "")
        for row in textwrap.wrap(text, self.width - 3):  # a style's letters take no room
            self.line("   " + re.sub(r"\d+", lambda number: self._styled(number[0], "bold"), row))

    def _wrapped(self, text: str, indent: str, *styles: str, first: str | None = None) -> None:
        for number, row in enumerate(textwrap.wrap(text, self.width - len(indent), drop_whitespace=True)):
            self.line((indent if number or first is None else first) + row, *styles)

    def _styled(self, text: str, *names: str) -> str:
        if not self._colour or not names:
            return text
        codes = ";".join(_STYLES[name] for name in names)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def _write(self, erase: str, text: str, end: str, live: str) -> None:
        """Erase the live line, write above it, and draw it again."""
        self._live = live
        self._out.write(erase + text + end + live)
        self._out.flush()


def shown_path(path: Path) -> str:
    """A path as a person would type it: short, if it is below the folder in which they are."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
