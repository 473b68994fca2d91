"""The rows of the spool's views, printed for people. The name of a column says the unit of its values."""

import json
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from agent.errors import age, size
from agent.spool.reader import Row

_COLUMNS = 100  # when there is no terminal to ask
_CELL = 40  # the most of a cell that isn't the last in its line
_SHORT_ID = 8  # the least of an id that is shown
_UNIT = re.compile("_(at|ms|s|bytes)$")
_TITLES = {"command_id": "ID", "execution_time_ms": "TOOK"}

LISTS = {
    "backlog": "waiting_s command_id outcome output_bytes attempts command last_error",
    "recent": "accepted_at command_id state outcome execution_time_ms output_bytes command",
    "stuck": "since_at command_id state command why",
    "slow": "execution_time_ms command_id outcome waited_to_run_ms waited_to_be_sent_ms output_bytes command",
}
"""What is shown of each view, where any row has it. A long text stands last: a line ends where the terminal does."""


def table(columns: str, rows: Sequence[Row]) -> list[str]:
    """The lines of a table, its header first. Ids are as short as they can be and still differ: `spool show` takes
    them like that.
    """
    names = [name for name in columns.split() if any(row[name] is not None for row in rows)]
    ids = {row["command_id"] for row in rows}
    short = next(length for length in count(_SHORT_ID) if len({each[:length] for each in ids}) == len(ids))
    cells = [[_TITLES.get(name) or _UNIT.sub("", name).replace("_", " ").upper() for name in names]]
    for row in rows:
        *words, last = (shown(name, row[name][:short] if name == "command_id" else row[name]) for name in names)
        cells.append([*(cut(word, _CELL) for word in words), last])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
    return [cut(line, shutil.get_terminal_size((_COLUMNS, 24)).columns) for line in lines]


def shown(name: str, value: Any) -> str:
    """A value in words, by its name's unit."""
    if value is None:
        return ""
    if name.endswith("_at"):
        return f"{since(value)} ago"
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith("_s"):
        return age(value)
    if name.endswith("_ms"):
        return f"{value} ms" if value < 10_000 else age(value / 1000)
    return plain(str(value))


def since(time: str) -> str:
    """How long ago a time is, as the spool's views give it."""
    return age((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds())


def cut(text: str, most: int) -> str:
    """The text in at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def plain(text: str, keep: str = "") -> str:
    """The text, which comes from outside, without control characters that could steer the terminal, but for `keep`."""
    return "".join(c if c.isprintable() or c in keep else json.dumps(c)[1:-1] for c in text)  # \n, \u001b
