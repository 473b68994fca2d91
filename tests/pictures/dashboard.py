"""The Grafana dashboard, drawn by this project from what its own queries return: titles, places, units and legends are
those of dashboard.json. Grafana itself draws it its own way.
"""

from collections.abc import Callable, Mapping, Sequence

from agent.humanize import age, size
from tests.pictures.drawing import INK, LINE, SOFT, Drawing
from tests.pictures.incident import Panel, Seen
from tests.pictures.prometheus import STEP_SECONDS, Series
from tests.plot import COLOURS, Axis, Points, short

COLUMN, ROW, GAP, HEAD = 50.0, 30.0, 8.0, 44.0
_COLUMNS = 24
_GREEN, _ORANGE, _RED = "#3d9a50", "#e08a1e", "#d0392b"
_BYTES = {"bytes": "", "Bps": "/s"}
_STOPS = 3 * STEP_SECONDS  # a longer gap between two values isn't drawn over


def drawn(seen: Seen) -> str:
    """The SVG's text."""
    places = [panel.definition["gridPos"] for panel in seen.panels]
    height = HEAD + max(p["y"] + p["h"] for p in places) * ROW + GAP
    d = Drawing(_COLUMNS * COLUMN + GAP, height, f"The dashboard {seen.title} during an incident")
    d.words(GAP + 4, 28, seen.title, bold=True, size=17)
    d.words(_COLUMNS * COLUMN, 28, f"the last {age(seen.seconds)}", anchor="end", colour=SOFT)
    kinds: Mapping[str, Callable[[Drawing, _Frame, Panel, Seen], None]] = {
        "stat": _stat,
        "timeseries": _timeseries,
        "table": _table,
    }
    for panel, at in zip(seen.panels, places, strict=True):
        frame = _Frame(at["x"] * COLUMN + GAP, at["y"] * ROW + HEAD, at["w"] * COLUMN, at["h"] * ROW)
        kinds[panel.definition["type"]](d, frame, panel, seen)
    return d.svg()


class _Frame:
    """Where a panel is, without the gap to the next."""

    def __init__(self, x: float, y: float, width: float, height: float) -> None:
        self.x, self.y, self.width, self.height = x, y, width - GAP, height - GAP
        self.right, self.bottom = self.x + self.width, self.y + self.height

    def draw(self, d: Drawing, title: str, fill: str = "#ffffff", ink: str = INK) -> None:
        d.shape(
            f'<rect x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}" rx="4" fill="{fill}"'
            f' stroke="{LINE}" stroke-opacity="0.5"/>'
        )
        d.words(self.x + 10, self.y + 19, title, bold=True, size=12.5, colour=ink)


def _stat(d: Drawing, frame: _Frame, panel: Panel, _: Seen) -> None:
    ((series,),) = panel.found
    value = series.points[0][1]
    defaults = panel.definition["fieldConfig"]["defaults"]
    text, colour = in_unit(value, defaults["unit"]), _GREEN
    for mapping in defaults.get("mappings", ()):
        if (found := mapping["options"].get(f"{value:g}")) is not None:
            text, colour = found["text"], {"red": _RED}.get(found["color"], _GREEN)
    for step in defaults.get("thresholds", {}).get("steps", ()):
        if step["value"] is None or value >= step["value"]:
            colour = {"orange": _ORANGE, "red": _RED}.get(step["color"], _GREEN)
    frame.draw(d, panel.definition["title"], colour, "#ffffff")
    middle = frame.x + frame.width / 2
    d.words(middle, frame.y + frame.height / 2 + 24, text, anchor="middle", bold=True, size=32, colour="#ffffff")


def in_unit(value: float, unit: str) -> str:
    """As a person reads it."""
    if unit in _BYTES:
        return size(value) + _BYTES[unit]
    return {"s": age(value), "percentunit": f"{value * 100:.0f} %"}.get(unit, f"{value:g}")


def _table(d: Drawing, frame: _Frame, panel: Panel, _: Seen) -> None:
    frame.draw(d, panel.definition["title"])
    hidden = {
        name for t in panel.definition["transformations"] for name in t["options"].get("excludeByName", ()) if name
    }
    (rows,) = panel.found
    for n, series in enumerate(rows):
        for m, (name, value) in enumerate(kv for kv in series.labels.items() if kv[0] not in hidden):
            y = frame.y + 46 + 20 * m + 100 * n
            d.words(frame.x + 12, y, name, size=11.5, colour=SOFT)
            d.words(frame.x + 84, y, value, size=11.5)


def _timeseries(d: Drawing, frame: _Frame, panel: Panel, seen: Seen) -> None:
    frame.draw(d, panel.definition["title"])
    defaults = panel.definition["fieldConfig"]["defaults"]
    stacked = defaults["custom"].get("stacking", {}).get("mode") == "normal"
    lines = [
        (legend(query["legendFormat"], series), series.points)
        for query, found in zip(panel.definition["targets"], panel.found, strict=True)
        for series in found
        if not stacked or any(value for _, value in series.points)
    ]
    factor, unit = _scale([value for _, points in lines for _, value in points], defaults["unit"])
    scaled: list[tuple[str, Points]] = [
        (name, [(at, value / factor) for at, value in points]) for name, points in lines
    ]
    if stacked:
        scaled = _stack(scaled)
    legend_lines = _in_lines([name for name, _ in scaled], frame.width - 20)
    plot = _Plot(frame, 14.0 * len(legend_lines), seen.seconds, [value for _, points in scaled for _, value in points])
    plot.grid(d, seen.outages)
    d.words(frame.x + 10, frame.y + 36, unit, size=11, colour=SOFT)
    for number, (_, points) in reversed(list(enumerate(scaled))):  # of a stack the highest is behind
        plot.line(d, points, COLOURS[number % len(COLOURS)], filled=stacked)
    _legend(d, frame, legend_lines)


def legend(pattern: str, series: Series) -> str:
    """Its name, as `legendFormat` has it."""
    for label, value in series.labels.items():
        pattern = pattern.replace(f"{{{{{label}}}}}", value)
    return pattern


def _scale(values: Sequence[float], unit: str) -> tuple[float, str]:
    """What to divide by, and what the axis is called then."""
    if unit in _BYTES:
        power = 2 if max(values, default=0) >= 1 << 20 else 1
        return 1024.0**power, f"{('KiB', 'MiB')[power - 1]}{_BYTES[unit]}"
    return 1.0, {"cpm": "a minute", "s": "s"}.get(unit, "")


def _stack(lines: Sequence[tuple[str, Points]]) -> list[tuple[str, Points]]:
    """Each with those before it below."""
    below: dict[float, float] = {}
    stacked: list[tuple[str, Points]] = []
    for name, points in lines:
        for at, value in points:
            below[at] = below.get(at, 0.0) + value
        stacked.append((name, [(at, below[at]) for at, _ in points]))
    return stacked


class _Plot:
    """The inside of a panel: time goes to the right, values up."""

    def __init__(self, frame: _Frame, below: float, seconds: float, values: Sequence[float]) -> None:
        self._seconds = seconds
        self._left, self._right = frame.x + 44, frame.right - 14
        self._up = Axis([0.0, *values], frame.bottom - 28 - below, frame.y + 44, log=False)

    def grid(self, d: Drawing, outages: Sequence[Series]) -> None:
        """Ticks, and where the API was away."""
        bottom, top = (self._up.at(self._up.ticks[n]) for n in (0, -1))
        for run in (run for outage in outages for run in _runs(outage.points)):
            left, right = self._x(run[0][0]), self._x(run[-1][0])
            d.shape(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
                f' fill="{_RED}" fill-opacity="0.1"/>'
            )
        for tick in self._up.ticks:
            at = self._up.at(tick)
            d.shape(f'<path d="M{self._left:g} {at:.1f}H{self._right:g}" stroke="#e5e7eb"/>')
            d.words(self._left - 6, at + 4, short(tick), anchor="end", size=10.5, colour=SOFT)
        for minutes in range(int(self._seconds // 60) + 1):
            d.words(self._x(minutes * 60), bottom + 16, f"{minutes}:00", anchor="middle", size=10.5, colour=SOFT)

    def line(self, d: Drawing, points: Points, colour: str, *, filled: bool) -> None:
        """Through the points, but not over a gap."""
        for run in _runs(points):
            through = " ".join(f"{self._x(at):.1f},{self._up.at(value):.1f}" for at, value in run)
            if filled:
                first, last = (f"{self._x(run[n][0]):.1f},{self._up.at(0):.1f}" for n in (0, -1))
                for fill, opacity in (("#ffffff", 1), (colour, 0.35)):  # of what is behind nothing shines through
                    d.shape(f'<polygon points="{first} {through} {last}" fill="{fill}" fill-opacity="{opacity}"/>')
            d.shape(f'<polyline points="{through}" fill="none" stroke="{colour}" stroke-width="1.5"/>')

    def _x(self, at: float) -> float:
        return self._left + at / self._seconds * (self._right - self._left)


def _runs(points: Points) -> list[Points]:
    """Parts without a gap."""
    parts: list[list[tuple[float, float]]] = []
    for point in points:
        if not parts or point[0] - parts[-1][-1][0] > _STOPS:
            parts.append([])
        parts[-1].append(point)
    return list(parts)


def _in_lines(names: Sequence[str], width: float) -> list[list[tuple[int, str]]]:
    """Numbered names, as many to a line as fit."""
    lines: list[list[tuple[int, str]]] = [[]]
    room = width
    for number, name in enumerate(names):
        if lines[-1] and room < _wide(name):
            lines.append([])
            room = width
        lines[-1].append((number, name))
        room -= _wide(name)
    return lines


def _wide(name: str) -> float:
    return 36 + 6.0 * len(name)


def _legend(d: Drawing, frame: _Frame, lines: Sequence[Sequence[tuple[int, str]]]) -> None:
    for row, line in enumerate(reversed(lines)):
        x, y = frame.x + 14, frame.bottom - 8 - 14 * row
        for number, name in line:
            d.shape(f'<path d="M{x:g} {y - 4:g}h14" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="3"/>')
            d.words(x + 19, y, name, size=11)
            x += _wide(name)
