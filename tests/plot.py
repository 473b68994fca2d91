"""Line charts as SVG: as much as the project's own pictures need."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 40, 48
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4b5563")
Points = Sequence[tuple[float, float]]


def line_chart(path: Path, title: str, lines: Mapping[str, Points], *, x: str, y: str, log: bool = False) -> None:
    """Write a chart.

    Args:
        path: of the file; its folder is made.
        title: above the chart.
        lines: label to points, each x and y.
        x: what stands below, with its unit.
        y: what stands at the side, with its unit.
        log: both axes are logarithmic; values must be above 0.
    """
    points = [point for line in lines.values() for point in line]
    across = Axis([px for px, _ in points], LEFT, WIDTH - RIGHT, log=log)
    up = Axis([py for _, py in points] + ([] if log else [0.0]), HEIGHT - BOTTOM, TOP, log=log)
    parts = [
        *_begin(HEIGHT),
        _text(LEFT, 22, title, size=15),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x, anchor="middle"),
        _text(8, TOP - 8, y),
    ]
    for tick in up.ticks:
        at = up.at(tick)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#e5e7eb"/>')
        parts.append(_text(LEFT - 6, at + 4, short(tick), anchor="end"))
    for tick in across.ticks:
        at = across.at(tick)
        parts.append(f'<path d="M{at:.1f} {HEIGHT - BOTTOM}v4" stroke="#6b7280"/>')
        parts.append(_text(at, HEIGHT - BOTTOM + 18, short(tick), anchor="middle"))
    for number, (label, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        drawn = " ".join(f"{across.at(px):.1f},{up.at(py):.1f}" for px, py in line)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(WIDTH - RIGHT + 12, TOP + 10 + 18 * number, label, colour=colour))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def bars(path: Path, title: str, rows: Sequence[tuple[str, float]], *, unit: str) -> None:
    """Write horizontal bars, each beginning where the last one ended: the parts of a whole."""
    whole = sum(value for _, value in rows) or 1.0
    height = TOP + 26 * len(rows) + 16
    left, width = 270, WIDTH - 270 - 80
    parts = [
        *_begin(height),
        _text(12, 22, title, size=15),
    ]
    begin = 0.0
    for number, (label, value) in enumerate(rows):
        top = TOP + 26 * number
        x, wide = left + begin / whole * width, max(1.0, value / whole * width)
        parts.append(_text(left - 8, top + 13, label, anchor="end"))
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<rect x="{x:.1f}" y="{top}" width="{wide:.1f}" height="18" fill="{colour}"/>')
        parts.append(_text(x + wide + 6, top + 13, f"{value:.2f} {unit}"))
        begin += value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _begin(height: float) -> list[str]:
    size = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]


class Axis:
    """Places values between two ends of a picture, with round ticks."""

    def __init__(self, values: Sequence[float], begin: float, end: float, *, log: bool) -> None:
        self._log = log
        low, high = min(values), max(values)
        if log:
            low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high * 1.0001))
            self.ticks = [low * 10.0**n for n in range(round(math.log10(high / low)) + 1)]
        else:
            step = _step(high - low)
            low, high = math.floor(low / step) * step, math.ceil(high / step) * step
            high = high if high > low else low + step
            self.ticks = [low + step * n for n in range(round((high - low) / step) + 1)]
        self._low, self._span = self._scaled(low), self._scaled(high) - self._scaled(low)
        self._begin, self._length = begin, end - begin

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def at(self, value: float) -> float:
        """Where the value is."""
        return self._begin + (self._scaled(value) - self._low) / self._span * self._length


def _step(span: float) -> float:
    """A round distance between ticks, for about six of them."""
    if span <= 0:
        return 1.0
    raw = span / 6
    size: float = 10.0 ** math.floor(math.log10(raw))
    return next(size * n for n in (1, 2, 5, 10) if size * n >= raw)


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, colour: str = "#111827") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(text)}</text>'
    )


def short(value: float) -> str:
    """A tick's value."""
    return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:.3g}"
