"""The columns of the spool's lists, for people."""

from collections.abc import Sequence

from agent.cli.table import Column, Row, ago, text
from agent.humanize import age, size

SHORT_ID = 8
"""The least of an id that is shown."""


def shortened(rows: Sequence[Row]) -> list[Row]:
    """The rows with ids as short as they can be and still differ; `spool show` takes them like that."""
    ids = {str(row["command_id"]) for row in rows}
    length = SHORT_ID
    while len({each[:length] for each in ids}) < len(ids):
        length += 1
    return [{**row, "id": str(row["command_id"])[:length]} for row in rows]


def _milliseconds(key: str, title: str) -> Column:
    def shown(row: Row) -> str:
        value = row[key]
        return "" if value is None else f"{value} ms" if value < 10_000 else age(value / 1000)

    return Column(title, shown, right=True)


_ID = Column("ID", text("id"), gives_way=1)
_COMMAND = Column("COMMAND", text("command"), gives_way=2)
_OUTPUT = Column("OUTPUT", lambda row: "" if row["output_bytes"] is None else size(row["output_bytes"]), right=True)
_CAME = Column("CAME", lambda row: f"{ago('accepted_at')(row)} ago", right=True)
_STATE = Column("STATE", text("state"))
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
        Column("LAST TROUBLE", text("last_error"), gives_way=3),
    ),
    "recent": (
        _CAME,
        _ID,
        _COMMAND,
        _STATE,
        Column("ENDED", _end),
        _milliseconds("execution_time_ms", "TOOK"),
        _OUTPUT,
    ),
    "stuck": (
        Column("FOR", ago("since_at"), right=True),
        _ID,
        _COMMAND,
        _STATE,
        Column("WHY", text("why"), gives_way=3),
    ),
    "slow": (
        _milliseconds("execution_time_ms", "TOOK"),
        _ID,
        _COMMAND,
        Column("ENDED", text("outcome")),
        _milliseconds("waited_to_run_ms", "WAITED TO RUN"),
        _milliseconds("waited_to_be_sent_ms", "WAITED TO BE SENT"),
        _OUTPUT,
    ),
    "unfinished": (_CAME, _ID, _COMMAND, _STATE),
}
