"""A recording as one SVG file that moves by itself, in a README too: no script, no font, no colours from outside.

Without animation (a printer, a reader who wants no motion) it shows the end.
"""

from collections.abc import Sequence
from html import escape

from tests.pictures.recording import COLUMNS, ROWS, Recording, Run, Shown

CELL, LINE = 7.8, 17.0
MARGIN, BAR = 16.0, 30.0
PAUSE_SECONDS = 2.0
"""A longer silence is cut to this."""
REST_SECONDS = 8.0
"""The end stays, then it begins again."""

_COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "36": "#79c0ff"}
_TEXT, _FAINT, _GROUND = "#d6dde6", "#8b98a9", "#10161e"


def animated(recording: Recording, title: str) -> str:
    """The SVG's text."""
    times = _without_silences(recording)
    seconds = max(times.values(), default=0.0) + REST_SECONDS
    top = max(0, recording.rows - ROWS)
    styles, rows = [_scroll(recording, times, seconds, top)], []
    for number, shown in enumerate(recording.shown):
        since = times[shown.since] / seconds * 100
        until = None if shown.until is None else times[shown.until] / seconds * 100
        styles.append(_appearing(number, since, until, seconds))
        rows.append(_row(shown, number))
    width, height = COLUMNS * CELL + 2 * MARGIN, ROWS * LINE + BAR + MARGIN
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" \
role="img" aria-label="{escape(title)}">
<title>{escape(title)}</title>
<style>
text {{ font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: {_TEXT};
  white-space: pre }}
.b {{ font-weight: 700 }} .f {{ fill: {_FAINT} }} .gone {{ opacity: 0 }}
{" ".join(f".c{code} {{ fill: {colour} }}" for code, colour in _COLOURS.items())}
@media (prefers-reduced-motion: no-preference) {{
{chr(10).join(styles)}
}}
</style>
<rect width="100%" height="100%" rx="9" fill="{_GROUND}"/>
<circle cx="20" cy="16" r="5.5" fill="#ff5f57"/><circle cx="38" cy="16" r="5.5" fill="#febc2e"/>\
<circle cx="56" cy="16" r="5.5" fill="#28c840"/>
<text x="{width / 2:.0f}" y="20" text-anchor="middle" class="f">{escape(title)}</text>
<svg x="{MARGIN}" y="{BAR}" width="{COLUMNS * CELL:.0f}" height="{ROWS * LINE:.0f}">
<g id="s" transform="translate(0 {-top * LINE:g})">
{chr(10).join(rows)}
</g>
</svg>
</svg>
"""


def _without_silences(recording: Recording) -> dict[float, float]:
    """When things happen in the picture, for each moment of the recording."""
    moments = sorted({s.since for s in recording.shown} | {s.until for s in recording.shown if s.until is not None})
    times, now, before = {}, 0.6, moments[0] if moments else 0.0
    for moment in moments:
        now += min(moment - before, PAUSE_SECONDS)
        times[moment], before = now, moment
    return times


def _scroll(recording: Recording, times: dict[float, float], seconds: float, top: int) -> str:
    frames, lowest = ["0% { transform: translate(0, 0) }"], 0
    for shown in sorted(recording.shown, key=lambda s: s.since):
        above = max(0, shown.row - ROWS + 1)
        if above > lowest:
            lowest = above
            frames.append(
                f"{times[shown.since] / seconds * 100:.2f}% {{ transform: translate(0, {-above * LINE:g}px) }}"
            )
    frames.append(f"100% {{ transform: translate(0, {-top * LINE:g}px) }}")
    return f"#s {{ animation: s {seconds:.1f}s step-end infinite }} @keyframes s {{ {' '.join(frames)} }}"


def _appearing(number: int, since: float, until: float | None, seconds: float) -> str:
    frames = f"0% {{ opacity: 0 }} {since:.2f}% {{ opacity: 1 }}"
    if until is not None:
        frames += f" {until:.2f}% {{ opacity: 0 }}"
    frames += f" 100% {{ opacity: {0 if until is not None else 1} }}"
    return f"#r{number} {{ animation: r{number} {seconds:.1f}s step-end infinite }} @keyframes r{number} {{ {frames} }}"


def _row(shown: Shown, number: int) -> str:
    y = (shown.row + 0.75) * LINE
    gone = ' class="gone"' if shown.until is not None else ""
    return f'<g id="r{number}"{gone}>{"".join(_text(run, y) for run in shown.runs)}</g>'


def _text(run: Run, y: float) -> str:
    classes = _classes(run.codes)
    attribute = f' class="{classes}"' if classes else ""
    text = run.text.rstrip()
    start = len(text) - len(text.lstrip())
    text = text.strip()
    return (
        f'<text xml:space="preserve" x="{(run.column + start) * CELL:.1f}" y="{y:.1f}"'
        f' textLength="{len(text) * CELL:.1f}" lengthAdjust="spacingAndGlyphs"{attribute}>'
        f"{escape(text, quote=False)}</text>"
    )


def _classes(codes: Sequence[str]) -> str:
    named = {"1": "b", "2": "f", **{code: f"c{code}" for code in _COLOURS}}
    return " ".join(named[code] for code in codes if code in named)
