"""`kubently-agent status`: the state of a spool, whether its agent is running, stuck or dead."""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.cli.spool import LISTS, plain, since, table
from agent.config import SETTINGS
from agent.errors import counted, size
from agent.spool.lock import is_held
from agent.spool.reader import open_reader
from agent.spool.space import own_bytes

_SHOWN = 5  # of what runs, and of what is stuck

_EPILOG = """\
Works beside a running agent, on the file of a dead one, and on a copy; it never writes.
More: kubently-agent spool list --view backlog|recent|stuck|slow, kubently-agent spool show ID.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the command's own parser."""
    parser.epilog = _EPILOG
    parser.add_argument("spool", nargs="?", type=Path, metavar="SPOOL", help="its file (default: KUBENTLY_SPOOL_PATH)")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")


def run(args: argparse.Namespace) -> int:
    """Show it."""
    path = args.spool or SETTINGS["spool_path"].read(os.environ)
    with open_reader(path) as reader:
        (status,) = reader.rows("status", 1)
        unfinished = [row for row in reader.rows("recent", 100) if row["state"] in {"accepted", "running"}]
        stuck = reader.rows("stuck", _SHOWN + 1)
    held = is_held(path)
    if args.json:
        found = {**status, "spool": str(path), "agent_running": held, "unfinished": unfinished, "stuck": stuck[:_SHOWN]}
        print(json.dumps(found, indent=2))
        return 0
    for title, words in _summary(path, status, held=held):
        print(f"{title:<10} {plain(words)}")
    for title, view, rows in (("Now", "recent", unfinished), ("Stuck", "stuck", stuck)):
        if rows:
            print(f"\n{title}", *table(LISTS[view], rows[:_SHOWN]), sep="\n")
        if len(rows) > _SHOWN:
            print(f"… and more: kubently-agent spool list --view {view}")
    return 0


def _summary(path: Path, status: Mapping[str, Any], *, held: bool) -> Iterator[tuple[str, str]]:
    if status["full_because"]:
        yield "FULL", f"no commands are taken: {status['full_because']}"
    yield "Spool", f"{path}, {size(own_bytes(path))} of {size(status['capacity_bytes'] or 0)}"
    opened = since(status["opened_at"]) if status["opened_at"] else "an unknown time"
    running, dead = f"running for {opened}, process {status['pid']}", f"one opened this spool {opened} ago"
    yield "Agent", running if held else f"not running here; {dead}"
    came = f"; the last command came {since(status['last_accepted_at'])} ago" if status["last_accepted_at"] else ""
    yield "To run", f"{status['waiting_to_run']} waiting, {status['running']} running{came}"
    if waiting := status["waiting_to_be_sent"]:
        output, oldest = size(status["waiting_to_be_sent_bytes"]), since(status["oldest_waiting_since_at"])
        yield "To send", f"{counted(waiting, 'result')}, {output} of output, the oldest waits for {oldest}"
        if status["last_trouble"]:
            yield "", f"last trouble: {status['last_trouble']}"
    else:
        yield "To send", "nothing"
    if status["rejected"]:
        yield "Rejected", f"{status['rejected']}, refused by the API; kept, see `kubently-agent spool retry`"
    last = f", the last {since(status['last_delivered_at'])} ago" if status["last_delivered_at"] else ""
    yield "Delivered", f"{status['delivered']} remembered{last}"
    if status["last_damage"]:
        yield "Damage", status["last_damage"]
