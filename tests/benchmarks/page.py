"""`make performance`: docs/performance.md and README's table anew, from build/bench.json.

What is said about the figures is in this file; the figures themselves are the last run's.
"""

import json
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import short

SOURCE = Path("build/bench.json")
PAGE = Path("docs/performance.md")
README = Path("README.md")
BEGIN, END = "<!-- performance: begin -->\n", "<!-- performance: end -->\n"

ABOUT = """\
# Performance

Written by `make performance` from what `make bench` measured. The bench takes 10 min and wants a machine with nothing
else running.

Most budgets are ratios. "Peer" is the loop that the original specification asks for, written anew for the comparison
(`tests/benchmarks/peer.py`): `requests`, no spool, one command at a time, nothing redacted, nothing journalled. Agent,
peer and the bare kubectl line take turns in one run, so that whatever else the machine does hits all of them; each turn
gives one ratio, and the figure is their median. The agent runs as in its image: the runtime requirements alone, `-OO`.
MB are millions of bytes.

{machine}

## The budgets

{budgets}

## Where one command's time goes

```mermaid
sequenceDiagram
    participant API
    participant agent
    participant spool
    participant kubectl
    API->>agent: command
    agent->>spool: accept
    Note over spool: 1st wait for the disk
    agent->>kubectl: guard, environment, start
    kubectl-->>agent: output
    agent->>spool: result
    Note over spool: 2nd wait for the disk
    agent->>API: result
    API-->>agent: 2xx
    agent-)spool: delivered, not waited for
```

Two commits lie on a command's way, each with a wait for the disk. The peer has neither: it loses what it holds when it
is killed. Poller, executor and uploader are woken by those commits; nobody asks again and again, and nobody sleeps.

## All other figures

{others}

## Repeat it

    make bench                         # all of it
    make bench PARTS="latency drain"   # latency output throughput log_search start drain memory redaction idle
    make soak MINUTES=60               # steady load with outages: memory, descriptors and files over time

`BENCH_PYTHON=/path/to/python3.13` names the interpreter that the agent and the peer are measured with. One that was
built with optimisations, as the image's and a distribution's are, takes a sixth less time for a command than one built
without.
"""


def table(figures: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| what | measured | budget | half of them lie between | beside |", "|---|---:|---:|---:|---|"]
    for each in figures:
        budget = "" if each["budget"] is None else f"{'≥' if each['at_least'] else '≤'} {short(each['budget'])}"
        between = "" if each["low"] is None else f"{short(each['low'])} and {short(each['high'])}"
        missed = "**missed**" if each["holds"] is False else "unclear: the spread is larger" if each["unclear"] else ""
        bare = each["bare_is"] and f"{each['bare_is']}: {short(each['bare'])}"
        says = "; ".join(filter(None, (missed, each["note"], bare)))
        unit = f" {each['unit']}" if each["unit"] else ""
        lines.append(f"| {each['what']} | {short(each['value'])}{unit} | {budget} | {between} | {says} |")
    return "\n".join(lines)


def short_table(figures: list[dict[str, Any]]) -> str:
    """README's: what has a budget, without what stands beside it."""
    lines = ["| what | measured | budget |", "|---|---:|---:|"]
    for each in figures:
        unit = f" {each['unit']}" if each["unit"] else ""
        value = f"{short(each['value'])}{unit}"
        value = f"**{value}**" if each["holds"] is False else value
        lines.append(f"| {each['what']} | {value} | {'≥' if each['at_least'] else '≤'} {short(each['budget'])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both."""
    found = json.loads(SOURCE.read_text())
    machine = found["machine"]
    words = (
        f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"CPython {machine['agent']['python']}, SQLite {machine['agent']['sqlite']}, "
        f"load average at the start {machine['load_average']:.1f}."
    )
    budgets, others = ([f for f in found["figures"] if (f["budget"] is None) is bare] for bare in (False, True))
    PAGE.write_text(ABOUT.format(machine=words, budgets=table(budgets), others=table(others)))
    load = machine["load_average"]
    busy = f" The machine was busy with other things (load average {load:.0f})." if load > machine["cores"] / 2 else ""
    python = machine["agent"]["python"]
    said = f"\nMeasured on {machine['cores']} cores with CPython {python}.{busy} What is bold is missed.\n"
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{before}{BEGIN}{short_table(budgets)}{said}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
