"""`make performance`: docs/performance.md anew, from build/bench.json and its plots.

What is said about the figures is in this file; the figures themselves are the last run's.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import short

SOURCE = Path("build/bench.json")
PAGE = Path("docs/performance.md")
PICTURES = ("one-command.svg", "growth-delivered.svg", "growth-pending.svg", "drain.svg")

ABOUT = """\
# Performance

Measured by `make bench`, which takes 12 min and wants a machine with nothing else running. Each figure stands beside
the bare thing, measured in between in the same run: the same kubectl line started directly, `xargs -P N kubectl`, a
bare loop of httpx, a bare insert into SQLite. The agent runs as in its image, with the runtime requirements alone and
`-OO`. `make bench` writes all of it to `build/bench.json`, `make performance` this page. MB are millions of bytes; p95
is the 95th percentile.

{machine}

## The budgets

{budgets}

## Where one command's time goes

![Where one command's time goes](pictures/one-command.svg)

Two commits lie on a command's way, each with a wait for the disk: the command and its start, before kubectl runs, and
the result and the attempt to send it, before it is sent. A third, that it was delivered, comes after the answer.
Poller, executor and uploader are woken by those commits; nobody asks again and again, and nobody sleeps on the way.

## How it grows

![Operations by the number of delivered results](pictures/growth-delivered.svg)
![Operations by the number of pending results](pictures/growth-pending.svg)

Accepting, finishing, taking and delivering don't depend on how many results the spool holds. Opening does, because the
whole file is checked, and so does the sweep every 10 s, because it counts the rows.

![A drain of 100,000 results](pictures/drain.svg)

A backlog leaves nearly as fast at its end as at its beginning.

## What was tried and left

- **HTTP/2.** Nothing gained at four requests at a time, and 5 to 8 times the processor at 1 MB.
- **Commits on the event loop's own thread.** They would save two wake-ups of a thread each, 0.1 ms; but a disk that
  hangs for a second would keep the probes from answering for as long.
- **The garbage collector told to leave alone what is there at the start** (`gc.freeze`): no difference.

## All other figures

{others}

## Repeat it

    make bench                         # all of it
    make bench PARTS="latency drain"   # some of it: latency split throughput start drain growth memory backlog
                                       # idle
    make soak MINUTES=60               # steady load with outages: memory, descriptors and files over time
    make import-cost                   # what each import costs

`BENCH_PYTHON=/path/to/python3.13` names the interpreter that the agent is measured with. One that was built with
optimisations, as the image's and a distribution's are, takes a sixth less time for a command than one built without.
"""


def table(figures: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| what | measured | budget | bare | p95 | beside |", "|---|---:|---:|---:|---:|---|"]
    for each in figures:
        budget = "" if each["budget"] is None else f"{'≥' if each['at_least'] else '≤'} {short(each['budget'])}"
        bare, p95 = ("" if each[name] is None else short(each[name]) for name in ("bare", "p95"))
        missed = "**missed**" if each["holds"] is False else "unclear: the spread is larger" if each["unclear"] else ""
        says = "; ".join(filter(None, (missed, each["note"], each["bare_is"] and f"bare: {each['bare_is']}")))
        unit = f" {each['unit']}" if each["unit"] else ""
        lines.append(f"| {each['what']} | {short(each['value'])}{unit} | {budget} | {bare} | {p95} | {says} |")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    found = json.loads(SOURCE.read_text())
    machine = found["machine"]
    words = (
        f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"CPython {machine['agent']['python']}, SQLite {machine['agent']['sqlite']}, "
        f"load average at the start {machine['load_average']:.1f}."
    )
    budgets, others = ([f for f in found["figures"] if (f["budget"] is None) is bare] for bare in (False, True))
    PAGE.write_text(ABOUT.format(machine=words, budgets=table(budgets), others=table(others)))
    for name in PICTURES:
        shutil.copy(SOURCE.parent / "pictures" / name, PAGE.parent / "pictures" / name)


if __name__ == "__main__":
    main()
