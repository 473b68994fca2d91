"""`make performance`: docs/performance.md anew, from build/bench.json.

What is said about the figures is in this file; the figures themselves are the last run's.
"""

import json
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import short

SOURCE = Path("build/bench.json")
PAGE = Path("docs/performance.md")

ABOUT = """\
# Performance

`make performance` writes this page from the last `make bench`, which takes 10 minutes on an otherwise idle machine.

Most figures are ratios to the "peer", the loop that the original specification asks for (reimplemented in
`tests/benchmarks/peer.py`): `requests`, one command at a time, nothing stored, nothing redacted. Agent, peer and plain
kubectl take turns in the same run. Each turn gives one ratio; the figure is the median. The agent runs as in its
image, optimised (`-OO`). 1 MB is a million bytes.

{machine}

{figures}

What is missed, and why. Each command waits for the disk twice: when it is accepted, and when its result is stored. The
peer never does, and loses whatever it holds when it is killed. The rows "of trio and httpx alone" are the peer's loop
in 30 lines of these two libraries, without a spool, a guard or limits (`tests/benchmarks/floor.py`): that alone is
beyond the budget for CPU time.

With a real kubectl the agent may be faster than kubectl alone, and a burst faster than xargs: it lets kubectl collect
garbage less often (`GOGC=400`) where memory allows.

    make bench                         # all of it
    make bench PARTS="latency drain"   # latency output throughput log_search start drain memory redaction idle
    make bench BENCH_PYTHON=/path/to/python3.13     # the interpreter for agent and peer
"""


def table(figures: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| what | measured | budget | middle half | compared with |", "|---|---:|---:|---:|---|"]
    for each in figures:
        budget = "" if each["budget"] is None else f"{'≥' if each['at_least'] else '≤'} {short(each['budget'])}"
        between = "" if each["low"] is None else f"{short(each['low'])} and {short(each['high'])}"
        missed = "**missed**" if each["holds"] is False else "unclear: the spread is larger" if each["unclear"] else ""
        bare = each["bare_is"] and f"{each['bare_is']}: {short(each['bare'])}"
        says = "; ".join(filter(None, (missed, each["note"], bare))).replace("|", "\\|")
        unit = f" {each['unit']}" if each["unit"] else ""
        lines.append(f"| {each['what']} | {short(each['value'])}{unit} | {budget} | {between} | {says} |")
    return "\n".join(lines)


def main() -> None:
    found = json.loads(SOURCE.read_text())
    machine = found["machine"]
    words = (
        f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"CPython {machine['agent']['python']}, SQLite {machine['agent']['sqlite']}, "
        f"load average at the start {machine['load_average']:.1f}."
    )
    PAGE.write_text(ABOUT.format(machine=words, figures=table(found["figures"])))


if __name__ == "__main__":
    main()
