"""The spool's views as tables for people: one command a line, and no line longer than the terminal."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agent.humanize import age, size

_COLUMNS = 100  # when there is no terminal to ask
_SHORT_ID = 8  # the least of an id that is shown
_SHORT_COMMAND = 40  # the most that is shown of one where something else is the last column

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]
"""Its title, and what it shows of a row."""


def table(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """The lines of a table, its header first. A line that is too long ends with "…", so long texts stand last."""
    cells = [[title for title, _ in columns], *([plain(shown(row)) for _, shown in columns] for row in shortened(rows))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
    return [cut(line, shutil.get_terminal_size((_COLUMNS, 24)).columns) for line in lines]


def shortened(rows: Sequence[Row]) -> list[Row]:
    """The rows with ids as short as they can be and still differ; `spool show` takes them like that."""
    ids = {row["command_id"] for row in rows}
    length = _SHORT_ID
    while len({each[:length] for each in ids}) < len(ids):
        length += 1
    return [{**row, "command_id": row["command_id"][:length]} for row in rows]


def cut(text: str, most: int) -> str:
    """The text in at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def plain(text: str, keep: str = "") -> str:
    """The text without anything that a terminal would obey: it comes from outside. What is in `keep` stays."""
    return "".join(c if c.isprintable() or c in keep else json.dumps(c)[1:-1] for c in text)  # \n, \u001b


def since(time: str | None) -> str:
    """How long ago a time is, as the spool's views give it; "" for none."""
    return age((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()) if time else ""


def _milliseconds(key: str) -> Callable[[Row], str]:
    def shown(row: Row) -> str:
        value = row[key]
        return "" if value is None else f"{value} ms" if value < 10_000 else age(value / 1000)

    return shown


def _text(key: str) -> Callable[[Row], str]:
    return lambda row: row[key] or ""


def _end(row: Row) -> str:
    code = row.get("exit_code")
    return f"exit {code}" if row["outcome"] == "failed" and code is not None else row["outcome"] or ""


_CAME: Column = ("CAME", lambda row: f"{since(row['accepted_at'])} ago")
_ID: Column = ("ID", _text("command_id"))
_STATE: Column = ("STATE", _text("state"))
_ENDED: Column = ("ENDED", _end)
_TOOK: Column = ("TOOK", _milliseconds("execution_time_ms"))
_OUTPUT: Column = ("OUTPUT", lambda row: "" if row["output_bytes"] is None else size(row["output_bytes"]))
_COMMAND: Column = ("COMMAND", _text("command"))
_SHORT: Column = ("COMMAND", lambda row: cut(row["command"] or "", _SHORT_COMMAND))

LISTS: Mapping[str, Sequence[Column]] = {
    "backlog": (
        *(("WAITS FOR", lambda row: age(row["waiting_s"])), _ID, _ENDED, _OUTPUT),
        *(("SENT", lambda row: f"{row['attempts']}×"), _SHORT, ("LAST TROUBLE", _text("last_error"))),
    ),
    "recent": (_CAME, _ID, _STATE, _ENDED, _TOOK, _OUTPUT, _COMMAND),
    "stuck": (("FOR", lambda row: since(row["since_at"])), _ID, _SHORT, _STATE, ("WHY", _text("why"))),
    "slow": (
        *(_TOOK, _ID, _ENDED, ("WAITED TO RUN", _milliseconds("waited_to_run_ms"))),
        *(("WAITED TO BE SENT", _milliseconds("waited_to_be_sent_ms")), _OUTPUT, _COMMAND),
    ),
    "unfinished": (_CAME, _ID, _STATE, _COMMAND),
}
