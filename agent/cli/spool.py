"""`kubently-agent spool`: list, show, retry and export what is in a spool."""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from agent.config import SETTINGS
from agent.errors import SpoolError, age, size
from agent.spool.lock import is_held
from agent.spool.reader import Reader, Row, ask, open_reader
from agent.spool.values import STREAMS

_EPILOG = """\
An ID may be cut as long as it is the only one that begins so.
Works beside a running agent, on the file of a dead one, and on a copy; only `retry` writes.
"""

_MEANING = {
    "accepted": "waits to run",
    "running": "runs, or did when the agent ended",
    "spooled": "has run, its result waits to be sent",
    "delivered": "the API has its result",
    "rejected": "the API refused its result; `kubently-agent spool retry ID` sends it once more",
}

LISTS = {
    "backlog": "waiting_s command_id outcome output_bytes attempts command last_error",
    "recent": "accepted_at command_id state outcome execution_time_ms output_bytes command",
    "stuck": "since_at command_id state command why",
    "slow": "execution_time_ms command_id outcome waited_to_run_ms waited_to_be_sent_ms output_bytes command",
}
"""What is shown of each view, where any row has it. A long text stands last: a line ends where the terminal does."""

_CELL = 40  # the most of a cell that isn't the last in its line
_UNIT = re.compile("_(at|ms|s|bytes)$")
_TITLES = {"command_id": "ID", "execution_time_ms": "TOOK"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the command's own parser."""
    parser.epilog = _EPILOG
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--spool", type=Path, metavar="FILE", help="the spool (default: KUBENTLY_SPOOL_PATH)")
    actions = parser.add_subparsers(title="what", metavar="WHAT", required=True)

    action = actions.add_parser("list", parents=[common], help="commands, the newest first")
    action.add_argument("--view", choices=LISTS, default="recent", help="default: recent")
    action.add_argument("--limit", type=int, default=20, metavar="N", help="rows at most (default: 20)")
    action.add_argument("--json", action="store_true", help="a JSON list, for programs")
    action.set_defaults(action=_list)

    action = actions.add_parser("show", parents=[common], help="one command and its output")
    action.add_argument("id", metavar="ID")
    action.add_argument("--json", action="store_true", help="one JSON object, for programs; stdout and stderr in it")
    action.set_defaults(action=_show)

    action = actions.add_parser("retry", parents=[common], help="send rejected results once more")
    which = action.add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?")
    which.add_argument("--all", action="store_true", help="all that are rejected")
    action.set_defaults(action=_retry)

    action = actions.add_parser("export", parents=[common], help="a consistent copy in one file, to look at elsewhere")
    action.add_argument("file", metavar="FILE", help="a new file, or - for standard output")
    action.set_defaults(action=_export)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    path = args.spool or SETTINGS["spool_path"].read(os.environ)
    with open_reader(path) as reader:
        args.action(path, reader, args)
    return 0


def _list(_: Path, reader: Reader, args: argparse.Namespace) -> None:
    rows = reader.rows(args.view, args.limit)
    if args.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        print("\n".join(table(LISTS[args.view], rows)))
    else:
        print(f"Nothing in the list {args.view}.", file=sys.stderr)


def _show(_: Path, reader: Reader, args: argparse.Namespace) -> None:
    found = reader.show(_whole_id(reader, args.id))
    output = {stream: "".join(reader.pieces(found["command_id"], stream)) for stream in STREAMS}
    if args.json:
        asked = {name: json.loads(found[name] or "null") for name in ("args", "request")}
        print(json.dumps({**found, **asked, **output}, indent=2))
        return
    print("\n".join(_facts(found)))
    for stream, text in output.items():
        if text:
            # On a terminal nothing is sent that it would obey; into a file or a pipe the output goes as it was.
            shown_there = plain(text, keep="\n\t") if sys.stdout.isatty() else text
            print(f"\n── {stream}\n{shown_there}", end="" if text.endswith("\n") else "\n")


def _facts(fields: Row) -> Iterator[str]:
    for name, value in fields.items():
        if value not in (None, "null"):  # of JSON
            words = plain(str(value))
            if name == "state":
                words += f": {_MEANING[value]}"
            elif name.endswith("_at") and name != "next_attempt_at":
                words += f" ({shown(name, value)})"
            yield f"{name:<18} {words}"


def _retry(path: Path, reader: Reader, args: argparse.Namespace) -> None:
    ask(path, None if args.all else _whole_id(reader, args.id))
    if is_held(path):
        print("The running agent has been told. It sends within a minute; see `kubently-agent status`.")
    else:
        print("Noted. It is sent when an agent is started with this spool.")


def _export(_: Path, reader: Reader, args: argparse.Namespace) -> None:
    if args.file != "-":
        to = Path(args.file)
        reader.export(to)
        print(f"{to}: {size(to.stat().st_size)}, all that is in the spool now, outputs included.", file=sys.stderr)
        print(f"Look into it: kubently-agent status {to}, or sqlite3 -readonly {to}", file=sys.stderr)
    elif sys.stdout.isatty():
        raise SpoolError("A database isn't for a terminal.", "For a file: kubently-agent spool export - > spool.db")
    else:
        with tempfile.TemporaryDirectory(prefix="spool-") as folder:
            to = Path(folder) / "spool.db"
            reader.export(to)
            with to.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _whole_id(reader: Reader, given: str) -> str:
    """The command's id, of which a person may have typed the beginning."""
    found = reader.ids(given, 5)
    if len(found) > 1 and found[0] != given:
        raise SpoolError(f"Several ids begin with {given}: {', '.join(found)}.", "Type more of the one you mean.")
    return found[0] if found else given  # who looks for it explains best why it isn't there


def table(columns: str, rows: Sequence[Row]) -> list[str]:
    """A table's lines, the header first. Ids are cut as far as they still differ: `spool show` takes them like that."""
    names = [name for name in columns.split() if any(row[name] is not None for row in rows)]
    ids = {row["command_id"] for row in rows}
    short = next(length for length in count(8) if len({each[:length] for each in ids}) == len(ids))
    cells = [[_TITLES.get(name) or _UNIT.sub("", name).replace("_", " ").upper() for name in names]]
    for row in rows:
        *words, last = (shown(name, row[name][:short] if name == "command_id" else row[name]) for name in names)
        cells.append([*(cut(word, _CELL) for word in words), last])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
    return [cut(line, shutil.get_terminal_size((100, 24)).columns) for line in lines]


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
