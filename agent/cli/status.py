"""`kubently-agent status`: how things stand in a spool, whose agent may be running, stuck or dead."""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.cli.lists import LISTS, shortened
from agent.cli.parser import Subparsers, add_command
from agent.cli.table import plain, seconds_since, table
from agent.config import spool_path
from agent.humanize import age, counted, size
from agent.spool.lock import is_held
from agent.spool.reader import Row, open_reader
from agent.spool.space import OWN, beside, file_bytes

_SHOWN = 5  # of what runs, and of what is stuck

_EPILOG = """\
Works beside a running agent, on the file of a dead one, and on a copy; it never writes.
More: kubently-agent spool list --view backlog|recent|stuck|slow, kubently-agent spool show ID.
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command's own command line."""
    parser = add_command(commands, "status", epilog=_EPILOG)
    parser.add_argument("spool", nargs="?", type=Path, metavar="SPOOL", help="its file (default: KUBENTLY_SPOOL_PATH)")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")


def run(args: argparse.Namespace) -> int:
    """Show it."""
    path = args.spool or spool_path(os.environ)
    with open_reader(path) as reader:
        status = reader.status()
        unfinished = [row for row in reader.rows("recent", 100) if row["state"] in {"accepted", "running"}]
        stuck = reader.rows("stuck", _SHOWN + 1)
    held = is_held(path)
    if args.json:
        found = {**status, "spool": str(path), "agent_running": held, "unfinished": unfinished, "stuck": stuck[:_SHOWN]}
        print(json.dumps(found, indent=2))
        return 0
    lines = _summary(path, status, held=held)
    if unfinished:
        lines += ["", "Now", *_rows("unfinished", unfinished)]
    if stuck:
        lines += ["", "Stuck", *_rows("stuck", stuck)]
    print("\n".join(lines))
    return 0


def _rows(name: str, rows: Sequence[Row]) -> list[str]:
    lines = table(LISTS[name], shortened(rows[:_SHOWN]))
    if len(rows) > _SHOWN:
        lines.append(f"… and more: kubently-agent spool list --view {'stuck' if name == 'stuck' else 'recent'}")
    return lines


def _summary(path: Path, status: Mapping[str, Any], *, held: bool) -> list[str]:
    full = status["full_because"]
    used = sum(file_bytes(beside(path, suffix)) for suffix in OWN)
    lines = [
        ("FULL", plain(f"no commands are taken: {full}") if full else ""),
        ("Spool", f"{path}, {size(used)} of {size(status['capacity_bytes'] or 0)}"),
        ("Agent", _agent(status, held=held)),
        ("To run", _to_run(status)),
        ("To send", _to_send(status)),
        (
            "",
            plain(f"last trouble: {status['last_trouble']}")
            if status["waiting_to_be_sent"] and status["last_trouble"]
            else "",
        ),
        ("Rejected", _rejected(status)),
        ("Delivered", f"{status['delivered']} remembered{_last(', the last', status['last_delivered_at'])}"),
        ("Damage", plain(status["last_damage"] or "")),
    ]
    return [f"{title:<10} {words}" for title, words in lines if words]


def _last(what: str, time: str | None) -> str:
    return f"{what} {age(seconds_since(time))} ago" if time else ""


def _agent(status: Mapping[str, Any], *, held: bool) -> str:
    since = age(seconds_since(status["opened_at"])) if status["opened_at"] else "an unknown time"
    if held:
        return f"running for {since}, process {status['pid']}"
    return f"not running here; one opened this spool {since} ago"


def _to_run(status: Mapping[str, Any]) -> str:
    words = f"{status['waiting_to_run']} waiting, {status['running']} running"
    return words + _last("; the last command came", status["last_accepted_at"])


def _to_send(status: Mapping[str, Any]) -> str:
    if not status["waiting_to_be_sent"]:
        return "nothing"
    waited = age(seconds_since(status["oldest_waiting_since_at"]))
    results = counted(status["waiting_to_be_sent"], "result")
    return f"{results}, {size(status['waiting_to_be_sent_bytes'])} of output, the oldest waits for {waited}"


def _rejected(status: Mapping[str, Any]) -> str:
    count = status["rejected"]
    return f"{count}, refused by the API; kept, see `kubently-agent spool retry`" if count else ""
