"""`make bench`: every budget of the agent beside the peer or the bare thing, a table on the screen, and JSON.

    python -m tests.benchmarks.run [PART …]

The parts are named below; without any, all run. What is compared takes turns in one run, so that whatever else the
machine does hits both, and each turn gives one ratio: the figure is their median.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from tests.benchmarks import drain, idle, latency, log_search, memory, output, redaction, start, throughput
from tests.benchmarks.agent import compile_all
from tests.benchmarks.cluster import cluster_process
from tests.benchmarks.figures import HEAD, Report, machine

PARTS: dict[str, Callable[[Report, Path, Path], Awaitable[None]]] = {
    "latency": latency.measure,
    "output": output.measure,
    "throughput": throughput.measure,
    "log_search": log_search.measure,
    "start": start.measure,
    "drain": drain.measure,
    "memory": memory.measure,
    "redaction": redaction.measure,
}


async def main(parts: list[str], path: Path) -> int:
    """Run the parts; 1 if a budget isn't kept."""
    report = Report()
    for name, value in machine().items():
        print(f"{name.replace('_', ' ')}: {value}")
    print(HEAD)
    compile_all()
    folder = Path(tempfile.mkdtemp(prefix="kubently-bench-"))
    try:
        async with cluster_process(folder) as kubeconfig, idle.meanwhile(report, folder, "idle" in parts):
            for name in parts:
                if name in PARTS:
                    await PARTS[name](report, folder, kubeconfig)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.write(path)
    missed = [figure for figure in report.figures if figure.holds is False]
    print(f"\n{path} has all of it. {len(missed)} budgets are missed." if missed else f"\n{path} has all of it.")
    return 1 if missed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join((*PARTS, "idle")))
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    sys.exit(trio.run(main, options.parts or [*PARTS, "idle"], options.output))
