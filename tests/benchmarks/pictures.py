"""The plots of one run."""

from pathlib import Path

from tests.benchmarks.figures import Report
from tests.plot import bars, line_chart


def draw(report: Report, folder: Path) -> None:
    """Draw what was measured."""
    if report.split:
        bars(folder / "one-command.svg", "Where one command's time goes", report.split, unit="ms")
    for name, lines in report.lines.items():
        if name == "drain":
            title = "A drain of 100,000 results: the rate of each tenth"
            line_chart(folder / "drain.svg", title, lines, x="results delivered", y="results a second")
            continue
        kind = name.removeprefix("growth-")
        title = f"One operation, by the number of {kind} results in the spool"
        line_chart(folder / f"{name}.svg", title, lines, x=f"{kind} results", y="ms", log=True)
