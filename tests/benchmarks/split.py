"""Where one command's time goes: the agent with marks at each hand-over, in a process of its own.

`python -m tests.benchmarks.split` is that agent. It notes the time whenever one of the functions below is entered or
left; at its end it writes all that to the file in BENCH_MARKS.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, Report, median

ROUNDS = 80
MARKS: list[tuple[str, float]] = []
PARTS = (
    ("handed out", "answer arrives", "socket, HTTP"),
    ("answer arrives", "claimed", "parsed, journalled and started (1 commit)"),
    ("claimed", "forked", "guard, kubectl started"),
    ("forked", "exited", "kubectl runs"),
    ("exited", "buried", "reaped, output read to its end"),
    ("buried", "taken", "result written down (1 commit)"),
    ("taken", "arrived", "HTTP, socket"),
)


async def measure(report: Report, folder: Path, kubeconfig: Path) -> None:
    """Medians of each part."""
    from tests.benchmarks.agent import Agent, running  # noqa: PLC0415  # the agent itself doesn't need these
    from tests.benchmarks.api import bench_api  # noqa: PLC0415
    from tests.benchmarks.cluster import GET_PODS, KUBECTL  # noqa: PLC0415

    place = folder / "split"
    place.mkdir()
    noted = place / "marks.json"
    async with bench_api() as api:
        agent = Agent(api, place, kubectl=KUBECTL, kubeconfig=kubeconfig, LOG_LEVEL="INFO", BENCH_MARKS=str(noted))
        async with running(agent, "-m", "tests.benchmarks.split"):
            asked = [await api.result(GET_PODS) for _ in range(ROUNDS)][5:]
    marks = json.loads(noted.read_text())
    parts: dict[str, list[float]] = {}
    for one in asked:
        times = {"handed out": one.handed_out_at, "arrived": one.arrived_at}
        for name, at in marks:
            if one.handed_out_at <= at <= one.arrived_at and (name not in times or name == "exited"):
                times[name] = at
        for begin, end, name in PARTS:
            if begin in times and end in times:
                parts.setdefault(name, []).append((times[end] - times[begin]) * 1000)
    report.split = [(name, median(parts[name])) for _, _, name in PARTS if name in parts]
    for name, value in report.split:
        report.add(Figure(f"one command: {name}", "ms", value, count=len(parts[name])))


def marked(owner: Any, method: str, *, before: str | None = None, after: str | None = None) -> None:
    """Note the time when this coroutine method begins and when it returns something."""
    original = getattr(owner, method)

    @functools.wraps(original)
    async def noting(*args: Any, **kwargs: Any) -> Any:
        if before:
            MARKS.append((before, time.perf_counter()))
        value = await original(*args, **kwargs)
        if after and value != []:
            MARKS.append((after, time.perf_counter()))
        return value

    setattr(owner, method, noting)


def _marked_start(start: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(start)
    def noting(*args: Any, **kwargs: Any) -> Any:
        child = start(*args, **kwargs)
        MARKS.append(("forked", time.perf_counter()))
        return child

    return noting


def main() -> int:
    """The agent with marks."""
    from agent.cli import main as agent  # noqa: PLC0415
    from agent.kubectl.child import Child  # noqa: PLC0415
    from agent.poller import Poller  # noqa: PLC0415
    from agent.spool import Spool  # noqa: PLC0415

    marked(Poller, "_journal", before="answer arrives")
    marked(Spool, "claim", after="claimed")
    Child.start = _marked_start(Child.start)  # type: ignore[method-assign]
    marked(Child, "exited", after="exited")
    marked(Spool, "finish", before="buried")
    marked(Spool, "take", after="taken")
    try:
        return agent([])
    finally:
        Path(os.environ["BENCH_MARKS"]).write_text(json.dumps(MARKS))


if __name__ == "__main__":
    sys.exit(main())
