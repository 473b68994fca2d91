"""Figures and what is said of them: median, p95, spread, and the budget that they are held against."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile, between neighbours where it falls between two."""
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return quantile(values, 0.5)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    unit: str
    value: float
    """What the budget is about; the median if there are several."""
    budget: float | None = None
    at_least: bool = False
    """The budget is a lower bound."""
    bare: float | None = None
    """The same of the bare thing that it is compared with, measured in between."""
    bare_is: str = ""
    p95: float | None = None
    low: float | None = None
    """The quartiles."""
    high: float | None = None
    count: int = 1
    note: str = ""

    @property
    def unclear(self) -> bool:
        """Whether the quartiles lie on both sides of the budget: then the machine was too busy to tell."""
        if self.budget is None or self.low is None or self.high is None:
            return False
        return self.low < self.budget < self.high

    @property
    def holds(self) -> bool | None:
        """Whether the budget is kept; None without one, or if that is unclear."""
        if self.budget is None or self.unclear:
            return None
        return self.value >= self.budget if self.at_least else self.value <= self.budget


def figure(what: str, unit: str, values: Sequence[float], **more: Any) -> Figure:
    """A figure from several measurements."""
    return Figure(
        what,
        unit,
        median(values),
        p95=quantile(values, 0.95),
        low=quantile(values, 0.25),
        high=quantile(values, 0.75),
        count=len(values),
        **more,
    )


@dataclass
class Report:
    """All that one run has found."""

    figures: list[Figure] = field(default_factory=list)

    def add(self, *figures: Figure) -> None:
        """Keep figures and say them at once."""
        for each in figures:
            self.figures.append(each)
            print(row(each), flush=True)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        found = {
            "machine": machine(),
            "figures": [asdict(each) | {"holds": each.holds, "unclear": each.unclear} for each in self.figures],
        }
        path.write_text(json.dumps(found, indent=2) + "\n")


@cache
def machine() -> dict[str, Any]:
    """What the figures were measured on, with the load before the first of them."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": model[0].partition(":")[2].strip() if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
        "agent": _versions(os.environ.get("BENCH_PYTHON", sys.executable)),
    }


def _versions(python: str) -> dict[str, str]:
    """Of the interpreter that the agent is measured with."""
    script = "import json, platform, sqlite3; print(json.dumps([platform.python_version(), sqlite3.sqlite_version]))"
    printed = subprocess.run([python, "-c", script], capture_output=True, check=True).stdout
    return dict(zip(("python", "sqlite"), json.loads(printed), strict=True))


HEAD = f"{'':<64} {'value':>9} {'unit':<9} {'budget':>8}   {'bare':>9} {'p95':>9} {'quartiles':>17} {'n':>4}  note"


def row(each: Figure) -> str:
    """One line of the table on the screen."""
    budget = "" if each.budget is None else f"{'≥' if each.at_least else '≤'} {short(each.budget)}"
    mark = "?" if each.unclear else {True: "✓", False: "✗", None: " "}[each.holds]
    spread = "" if each.low is None or each.high is None else f"{short(each.low)} – {short(each.high)}"
    bare, p95 = ("" if value is None else short(value) for value in (each.bare, each.p95))
    note = "; ".join(filter(None, (each.note, f"bare: {each.bare_is}" if each.bare_is else "")))
    return (
        f"{each.what:<64} {short(each.value):>9} {each.unit:<9} {budget:>8} {mark} {bare:>9} {p95:>9} {spread:>17}"
        f" {each.count:>4}  {note}"
    ).rstrip()


def short(value: float) -> str:
    """Three digits that mean something."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
