"""The Grafana dashboard, drawn from what its own queries return: titles, places, units, colours and legends are those
of dashboard.json. Grafana itself draws it its own way.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from agent.errors import age, size
from tests.pictures.incident import Panel, Seen
from tests.pictures.prometheus import STEP_SECONDS, Series

_COLUMNS, _COLUMN, _ROW, _HEAD = 24, 0.5, 0.3, 0.45
"""Grafana's grid, in inches."""
_STOPS = 3 * STEP_SECONDS  # a longer gap between two values isn't drawn over
_COLOURS = {"green": "#3d9a50", "orange": "#e08a1e", "red": "#d0392b", "blue": "#3274d9", "yellow": "#e0b400"}
_OTHERS = ("#3274d9", "#8f3bb8", "#e08a1e", "#3d9a50", "#d0392b", "#0a9bb0", "#6b7280", "#b0568a")
_BYTES = {"bytes": "", "Bps": "/s"}


def drawn(seen: Seen) -> Figure:
    """The whole dashboard."""
    places = [panel.definition["gridPos"] for panel in seen.panels]
    width, height = _COLUMNS * _COLUMN, _HEAD + max(p["y"] + p["h"] for p in places) * _ROW
    figure = Figure(figsize=(width, height))
    figure.text(0.01, 1 - 0.25 / height, seen.title, weight="bold", fontsize=13, va="center")
    figure.text(0.99, 1 - 0.25 / height, f"the last {age(seen.seconds)}", ha="right", va="center", color="#555")
    kinds = {"stat": _stat, "timeseries": _timeseries, "table": _table}
    for panel, at in zip(seen.panels, places, strict=True):
        below = height - _HEAD - (at["y"] + at["h"]) * _ROW
        left, wide, high = at["x"] * _COLUMN, at["w"] * _COLUMN, at["h"] * _ROW
        margins = (0.05, 0.05, 0.05, 0.05) if panel.definition["type"] != "timeseries" else (0.65, 0.15, 0.3, 0.55)
        inside = (left + margins[0], below + margins[3], wide - margins[0] - margins[1], high - margins[2] - margins[3])
        axes = figure.add_axes((inside[0] / width, inside[1] / height, inside[2] / width, inside[3] / height))
        kinds[panel.definition["type"]](axes, panel, seen)
    return figure


def _colour(name: str) -> str:
    """Grafana's names have shades, such as "dark-red"."""
    return _COLOURS.get(name.rpartition("-")[2], name)


def _blank(axes: Axes, title: str, **ink: Any) -> None:
    axes.set(xticks=[], yticks=[])
    axes.text(0.04, 0.96, title, va="top", weight="bold", fontsize=8.5, transform=axes.transAxes, **ink)


def _stat(axes: Axes, panel: Panel, _: Seen) -> None:
    ((series,),) = panel.found
    value = series.points[0][1]
    defaults = panel.definition["fieldConfig"]["defaults"]
    text, colour = in_unit(value, defaults["unit"]), "green"
    for mapping in defaults.get("mappings", ()):
        if (found := mapping["options"].get(f"{value:g}")) is not None:
            text, colour = found["text"], found["color"]
    for step in defaults.get("thresholds", {}).get("steps", ()):
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    axes.set_facecolor(_colour(colour))
    _blank(axes, panel.definition["title"], color="white")
    axes.text(0.5, 0.42, text, ha="center", va="center", weight="bold", fontsize=22, color="white")


def in_unit(value: float, unit: str) -> str:
    """As a person reads it."""
    if unit in _BYTES:
        return size(value) + _BYTES[unit]
    return {"s": age(value), "percentunit": f"{value * 100:.0f} %"}.get(unit, f"{value:g}")


def _table(axes: Axes, panel: Panel, _: Seen) -> None:
    hidden = {name for t in panel.definition["transformations"] for name in t["options"].get("excludeByName", ())}
    lines = [
        f"{name}  {value}" for series in panel.found[0] for name, value in series.labels.items() if name not in hidden
    ]
    _blank(axes, panel.definition["title"])
    axes.text(0.04, 0.82, "\n".join(lines), va="top", fontsize=8, linespacing=1.6, transform=axes.transAxes)


def _timeseries(axes: Axes, panel: Panel, seen: Seen) -> None:
    defaults = panel.definition["fieldConfig"]["defaults"]
    unit, stacked = defaults["unit"], defaults["custom"].get("stacking", {}).get("mode") == "normal"
    lines = [
        (legend(query["legendFormat"], series), series.points)
        for query, found in zip(panel.definition["targets"], panel.found, strict=True)
        for series in found
        if not stacked or any(value for _, value in series.points)
    ]
    below: dict[float, float] = {}
    for number, (name, points) in enumerate(lines):
        colour = _chosen(panel.definition["fieldConfig"].get("overrides", ()), name, _OTHERS[number % len(_OTHERS)])
        bottom = [below.get(at, 0.0) for at, _ in points] if stacked else [0.0] * len(points)
        values = [value + under for (_, value), under in zip(points, bottom, strict=True)]
        below |= {at: value for (at, _), value in zip(points, values, strict=True)} if stacked else {}
        for part, (first, last) in enumerate(_parts(points)):
            at = [second / 60 for second, _ in points[first:last]]
            label = name if part == 0 else None
            axes.plot(at, values[first:last], color=colour, linewidth=1.2, label=label, gid=f"line-{number}-{part}")
            if stacked:
                axes.fill_between(at, bottom[first:last], values[first:last], color=colour, alpha=0.3, linewidth=0)
    for outage in seen.outages:
        for first, last in _parts(outage.points):
            axes.axvspan(
                outage.points[first][0] / 60, outage.points[last - 1][0] / 60, color=_COLOURS["red"], alpha=0.1
            )
    axes.set_title(panel.definition["title"], loc="left", weight="bold", fontsize=8.5)
    axes.set(xlim=(0, seen.seconds / 60), ylim=(0, None))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda minutes, _: f"{minutes:g}:00" if minutes % 1 == 0 else ""))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: in_unit(value, unit) if unit in _BYTES else f"{value:g}")
    )
    if unit in ("cpm", "s"):
        axes.set_ylabel({"cpm": "a minute", "s": "s"}[unit], fontsize=7)
    axes.tick_params(labelsize=7)
    axes.grid(axis="y", color="#e5e7eb")
    columns = 4 if max((len(name) for name, _ in lines), default=0) < 12 else 3
    axes.legend(loc="upper left", bbox_to_anchor=(-0.12, -0.12), ncols=columns, fontsize=6.5, frameon=False)


def _chosen(overrides: Sequence[Any], name: str, otherwise: str) -> str:
    """The colour that the dashboard gives to a line of this name."""
    for override in overrides:
        if override["matcher"] == {"id": "byName", "options": name}:
            for each in override["properties"]:
                if each["id"] == "color":
                    return _colour(each["value"]["fixedColor"])
    return otherwise


def legend(pattern: str, series: Series) -> str:
    """Its name, as `legendFormat` has it."""
    for label, value in series.labels.items():
        pattern = pattern.replace(f"{{{{{label}}}}}", value)
    return pattern


def _parts(points: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """Where the parts without a gap begin and end."""
    cuts = [n for n in range(1, len(points)) if points[n][0] - points[n - 1][0] > _STOPS]
    return list(zip([0, *cuts], [*cuts, len(points)], strict=True)) if points else []
