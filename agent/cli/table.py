"""Plain tables for people, as wide as the terminal and no wider."""

import json
import shutil
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.humanize import age

COLUMNS = 100
"""The width when there is no terminal to ask."""

_GAP = "  "
_LEAST = 24  # a column that gives way doesn't become narrower

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    `shown` makes the text from a whole row. `gives_way` counts how early the column is cut when there is too little
    room: the highest first, 0 never. `right` puts numbers under each other.
    """

    title: str
    shown: Callable[[Row], str]
    gives_way: int = 0
    right: bool = False


def width() -> int:
    """How many columns there are."""
    return shutil.get_terminal_size((COLUMNS, 24)).columns


def table(columns: Sequence[Column], rows: Sequence[Row], within: int | None = None) -> list[str]:
    """The lines of a table, its header first. What is too long is cut and ends with "…"."""
    cells = [[plain(column.shown(row)) for column in columns] for row in rows]
    titles = [column.title for column in columns]
    widths = [max(_length(line[i]) for line in [titles, *cells]) for i in range(len(columns))]
    _fit(columns, widths, (within or width()) - len(_GAP) * (len(columns) - 1))
    return [_line(columns, widths, line) for line in [titles, *cells]]


def _fit(columns: Sequence[Column], widths: list[int], room: int) -> None:
    for i, column in sorted(enumerate(columns), key=lambda each: -each[1].gives_way):
        if column.gives_way and (too_much := sum(widths) - room) > 0:
            widths[i] = max(min(_LEAST, widths[i]), widths[i] - too_much)


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    parts = []
    for column, wide, cell in zip(columns, widths, cells, strict=True):
        text = cut(cell, wide)
        space = " " * (wide - _length(text))
        parts.append(space + text if column.right else text + space)
    return _GAP.join(parts).rstrip()


def cut(text: str, wide: int) -> str:
    """The text in at most so many columns."""
    if _length(text) <= wide:
        return text
    kept, used = "", 0
    for letter in text:
        used += _length(letter)
        if used > wide - 1:
            break
        kept += letter
    return kept.rstrip() + "…"


def _length(text: str) -> int:
    """Columns on a terminal: some letters take two, and marks that sit on others none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def plain(text: str) -> str:
    """The text on one line, without anything that a terminal would obey: it comes from outside."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def plain_lines(text: str) -> str:
    """The same for text of several lines."""
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(letter: str) -> str:
    return json.dumps(letter)[1:-1]  # \n, \u001b


def text(key: str) -> Callable[[Row], str]:
    """Shows a value as it is; nothing for NULL."""
    return lambda row: "" if row[key] is None else str(row[key])


def ago(key: str) -> Callable[[Row], str]:
    """Shows a time as how long it is ago; nothing for NULL."""
    return lambda row: "" if row[key] is None else age(seconds_since(row[key]))


def seconds_since(time: str) -> float:
    """From a time as the spool's views give it until now."""
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
