"""How the demo looks: acts, commands, answers, a line that lives, a table. Plain where there is no terminal."""

import io
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

_WIDEST, _NARROWEST, _WITHOUT_TERMINAL = 96, 60, 92
_PLAIN_SECONDS = 2.0
"""Without a terminal the live line is printed when it has changed, but no more often than this."""

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Screen:
    """Everything that the demo prints goes through here."""

    def __init__(self, out: TextIO = sys.stdout, environ: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self.terminal = out.isatty() and environ.get("TERM", "") != "dumb"
        self._colour = self.terminal and not environ.get("NO_COLOR")
        columns = shutil.get_terminal_size().columns if self.terminal else _WITHOUT_TERMINAL
        self.width = max(min(columns - 1, _WIDEST), _NARROWEST)
        self._live = ""
        self._printed_at = 0.0
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="replace")  # a terminal without UTF-8 shows question marks, and all the rest

    def style(self, text: str, *names: str) -> str:
        """`text` in colour or bold, if the terminal is to have that."""
        if not self._colour or not names:
            return text
        codes = ";".join(_STYLES[name] for name in names)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def line(self, text: str = "", *styles: str) -> None:
        """One line as it is."""
        self._erase()
        self._write(self.style(text, *styles) + "\n")
        self._redraw()

    def title(self, text: str, right: str) -> None:
        """The first line."""
        self.line()
        gap = " " * max(self.width - len(text) - len(right), 2)
        self.line(f"{self.style(text, 'bold')}{gap}{self.style(right, 'dim')}")

    def act(self, number: int, title: str) -> None:
        """A new act."""
        self.line()
        self.line(f"{number}  {title}", "bold", "cyan")

    def say(self, text: str, *styles: str) -> None:
        """A paragraph of the story."""
        for row in textwrap.wrap(text, self.width - 3):
            self.line(f"   {row}", *styles)

    def command(self, words: str, right: str) -> None:
        """A kubectl command, and how long it took."""
        room = self.width - len(right) - 7

        def glued(pair: re.Match[str]) -> str:
            """A flag stays with its value, where both have room in one row."""
            return f" {pair[1]}\u00a0{pair[2]}" if len(pair[0]) <= room else pair[0]

        words = re.sub(r" (-[\w-]+) (?!-)(\S+)", glued, words)
        rows = [row.replace("\u00a0", " ") for row in textwrap.wrap(words, room, break_on_hyphens=False)]
        gap = " " * (self.width - len(right) - 5 - len(rows[0]))
        self.line(f"   {self.style(f'$ {rows[0]}', 'bold')}{gap}{self.style(right, 'dim')}")
        for row in rows[1:]:
            self.line(f"       {row}", "bold")

    def answer(self, rows: Iterable[str], *styles: str) -> None:
        """Output of a command; long lines are cut."""
        for row in rows:
            self.line("     " + _cut(row.expandtabs(), self.width - 5), *styles)

    def remark(self, text: str, *styles: str) -> None:
        """What the agent itself said to a command; long lines are wrapped."""
        for row in textwrap.wrap(text, self.width - 5):
            self.line(f"     {row}", *styles)

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and what they are."""
        column = max(len(name) for name, _ in rows) + 2
        for name, value in rows:
            self.line(f"   {self.style(name.ljust(column), 'dim')}{value}")

    def live(self, text: str) -> None:
        """Replace the live line; an empty text ends it."""
        if text == self._live:
            return
        if self.terminal:
            self._erase()
            self._live = text
            self._redraw()
        elif text and time.monotonic() - self._printed_at >= _PLAIN_SECONDS:
            self._live, self._printed_at = text, time.monotonic()
            self._write(f"   {text}\n")

    def settle(self, text: str) -> None:
        """End the live line, leaving `text` as an ordinary one."""
        shown_already = not self.terminal and text == self._live
        self._erase()
        self._live, self._printed_at = "", 0.0
        if not shown_already:
            self.line(f"   {self._with_numbers(text)}")

    def _erase(self) -> None:
        if self.terminal and self._live:
            self._write("\r\x1b[K")

    def _redraw(self) -> None:
        if self.terminal and self._live:
            self._write("   " + self._with_numbers(_cut(self._live, self.width - 3)))

    def _with_numbers(self, text: str) -> str:
        return re.sub(r"\d+", lambda number: self.style(number[0], "bold"), text)

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def shown_path(path: Path) -> str:
    """A path as a person would type it: short, if it is below the folder in which they are."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
