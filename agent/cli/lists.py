"""The columns of the spool's lists, for people."""

from collections.abc import Sequence

from agent.cli.table import Column, Row, ago, text
from agent.humanize import age, size

SHORT_ID = 8
"""The least of an id that is shown, if that tells it from the others."""


def shortened(rows: Sequence[Row]) -> list[Row]:
    """The rows with ids as short as they can be and still differ; `spool show` takes them like that."""
    short = _short_ids([str(row["command_id"]) for row in rows])
    return [{**row, "id": short[str(row["command_id"])]} for row in rows]


def _short_ids(ids: Sequence[str]) -> dict[str, str]:
    ordered = sorted(set(ids))
    short = {}
    for i, whole in enumerate(ordered):
        beside = ordered[max(0, i - 1) : i] + ordered[i + 1 : i + 2]
        needed = max((_in_common(whole, other) + 1 for other in beside), default=0)
        short[whole] = whole[: max(SHORT_ID, needed)]
    return short


def _in_common(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _milliseconds(key: str) -> Column:
    def shown(row: Row) -> str:
        value = row[key]
        return "" if value is None else f"{value} ms" if value < 10_000 else age(value / 1000)

    return Column(_TITLES[key], shown, right=True)


_TITLES = {
    "execution_time_ms": "TOOK",
    "waited_to_run_ms": "WAITED TO RUN",
    "waited_to_be_sent_ms": "WAITED TO BE SENT",
}

_ID = Column("ID", text("id"), gives_way=1)
_COMMAND = Column("COMMAND", text("command"), gives_way=2)
_OUTPUT = Column("OUTPUT", lambda row: "" if row["output_bytes"] is None else size(row["output_bytes"]), right=True)
_ATTEMPTS = Column("SENT", lambda row: f"{row['attempts']}×", right=True)


def _end(row: Row) -> str:
    if row["outcome"] is None:
        return ""
    return f"exit {row['exit_code']}" if row["outcome"] == "failed" and row["exit_code"] is not None else row["outcome"]


LISTS: dict[str, Sequence[Column]] = {
    "backlog": (
        Column("WAITS FOR", lambda row: age(row["waiting_s"]), right=True),
        _ID,
        _COMMAND,
        Column("ENDED", text("outcome")),
        _OUTPUT,
        _ATTEMPTS,
        Column("LAST TROUBLE", text("last_words"), gives_way=3),
    ),
    "recent": (
        Column("CAME", lambda row: f"{ago('accepted_at')(row)} ago", right=True),
        _ID,
        _COMMAND,
        Column("STATE", text("state")),
        Column("ENDED", _end),
        _milliseconds("execution_time_ms"),
        _OUTPUT,
    ),
    "stuck": (
        Column("FOR", ago("since_at"), right=True),
        _ID,
        _COMMAND,
        Column("STATE", text("state")),
        Column("WHY", text("why"), gives_way=3),
    ),
    "slow": (
        _milliseconds("execution_time_ms"),
        _ID,
        _COMMAND,
        Column("ENDED", text("outcome")),
        _milliseconds("waited_to_run_ms"),
        _milliseconds("waited_to_be_sent_ms"),
        _OUTPUT,
    ),
    "unfinished": (
        Column("CAME", lambda row: f"{ago('accepted_at')(row)} ago", right=True),
        _ID,
        _COMMAND,
        Column("STATE", text("state")),
    ),
}
