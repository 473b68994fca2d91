"""`make import-cost`: what each import costs the agent's process, each in an interpreter of its own.

Beside what is imported stands what isn't: the same library without what `agent/lean.py` does, and modules that only
commands beside `run` need.
"""

import json
import subprocess
from dataclasses import dataclass

from tests.benchmarks.agent import PYTHON, ROOT

ROUNDS = 3
PROBE = """
import gc, json, sys, time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
{before}
gc.collect(); modules, began, memory = len(sys.modules), time.process_time(), resident()
{statement}
print(json.dumps([resident() - memory, time.process_time() - began, len(sys.modules) - modules, resident()]))
"""


@dataclass(frozen=True, slots=True)
class Import:
    """One line of the table."""

    what: str
    statement: str
    before: str = ""
    """What is imported already."""


AGENT = (
    Import("the interpreter", ""),
    Import("what the libraries share: ssl, asyncio's parts, json, …", "import ssl, json, logging, email.message"),
    Import("trio", "import trio", "import ssl, json, logging, email.message"),
    Import("httpx, as agent/link imports it", "import agent.link.http", "import trio, ssl, agent.config, agent.log"),
    Import("sqlite-utils, as agent/spool imports it", "import agent.spool.light", "import trio, sqlite3"),
    Import("all of the agent", "import agent.run, agent.cli.run"),
)
LEFT_OUT = (
    Import("httpx, plainly", "import httpx", "import trio, ssl"),
    Import("sqlite-utils, plainly", "import sqlite_utils", "import trio, sqlite3"),
    Import("argparse and the commands beside `run`", "import agent.cli.parser; agent.cli.parser", "import agent.run"),
    Import("anyio (httpcore imports it if it is there)", "import anyio", "import trio"),
    Import("click", "import click"),
    Import("tabulate", "import tabulate"),
    Import("dateutil", "import dateutil.parser"),
)


def cost(each: Import) -> tuple[float, float, int, float]:
    """Medians: bytes, processor seconds, modules, and the process's bytes afterwards."""
    script = PROBE.format(before=each.before, statement=each.statement)
    runs = []
    for _ in range(ROUNDS):
        done = subprocess.run(
            [PYTHON, "-c", script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return float("nan"), float("nan"), 0, float("nan")
        runs.append(json.loads(done.stdout))
    memory, seconds, modules, whole = (sorted(values)[ROUNDS // 2] for values in zip(*runs, strict=True))
    return memory, seconds, modules, whole


def main() -> None:
    """The table."""
    for title, imports in (("Imported by the agent", AGENT), ("Not imported", LEFT_OUT)):
        print(f"{title:<58} {'MB':>6} {'ms':>6} {'modules':>8} {'process then, MB':>17}")
        for each in imports:
            memory, seconds, modules, whole = cost(each)
            print(f"  {each.what:<56} {memory / 1e6:6.1f} {seconds * 1000:6.0f} {modules:8} {whole / 1e6:17.1f}")


if __name__ == "__main__":
    main()
