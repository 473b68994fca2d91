"""Boxes, arrows and words on a card that is readable on a light and on a dark page."""

from collections.abc import Sequence
from html import escape

INK, SOFT, LINE, CARD = "#1f2933", "#5b6875", "#8492a2", "#fbfcfd"
BLUE, GREEN, AMBER, RED, GREY = "#e3effc", "#e2f4e8", "#fdf1d8", "#fbe4e2", "#eef1f4"

Point = tuple[float, float]


class Drawing:
    """Gathers shapes; `svg` gives the file's text."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._size = (width, height)
        self._title = title
        self._shapes: list[str] = []

    def frame(self, x: float, y: float, width: float, height: float, words: str) -> None:
        """A dashed frame around things that belong together."""
        self._shapes.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="12" fill="none" stroke="{LINE}"'
            ' stroke-dasharray="5 4"/>'
        )
        self.words(x + 14, y + 20, words, size=12, colour=SOFT)

    def shape(self, element: str) -> None:
        """Any other element of SVG."""
        self._shapes.append(element)

    def box(self, x: float, y: float, width: float, height: float, title: str, *lines: str, fill: str = GREY) -> None:
        """A named box, with a few words below the name."""
        self._shapes.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="{LINE}"/>'
        )
        top = y + height / 2 - 8 * len(lines) + 5
        self.words(x + width / 2, top, title, anchor="middle", bold=True, size=14)
        for number, line in enumerate(lines, 1):
            self.words(x + width / 2, top + 16.5 * number, line, anchor="middle", size=11.5, colour=SOFT)

    def disk(self, x: float, y: float, width: float, height: float, title: str, *lines: str) -> None:
        """A box that is on disk."""
        curve = 9
        self._shapes.append(
            f'<path d="M{x} {y + curve} a{width / 2} {curve} 0 0 1 {width} 0 v{height - 2 * curve}'
            f' a{width / 2} {curve} 0 0 1 {-width} 0 z" fill="{AMBER}" stroke="{LINE}"/>'
            f'<path d="M{x} {y + curve} a{width / 2} {curve} 0 0 0 {width} 0" fill="none" stroke="{LINE}"/>'
        )
        top = y + height / 2 - 8 * len(lines) + 10
        self.words(x + width / 2, top, title, anchor="middle", bold=True, size=14)
        for number, line in enumerate(lines, 1):
            self.words(x + width / 2, top + 16.5 * number, line, anchor="middle", size=11.5, colour=SOFT)

    def arrow(self, points: Sequence[Point], words: str = "", at: Point | None = None, *, dashed: bool = False) -> None:
        """A line through the points with a head at its end; `at` is where the middle of its words is."""
        path = " ".join(f"{'M' if i == 0 else 'L'}{x} {y}" for i, (x, y) in enumerate(points))
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self._shapes.append(
            f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="1.4" marker-end="url(#head)"{dash}/>'
        )
        if words and at:
            self.words(*at, words, anchor="middle", size=11.5)

    def words(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        bold: bool = False,
        size: float = 12.5,
        colour: str = INK,
    ) -> None:
        """Words; several lines are cut at "|"."""
        weight = ' font-weight="600"' if bold else ""
        for number, line in enumerate(words.split("|")):
            self._shapes.append(
                f'<text x="{x:g}" y="{y + number * (size + 3.5):g}" text-anchor="{anchor}" font-size="{size}"'
                f' fill="{colour}"{weight}>{escape(line, quote=False)}</text>'
            )

    def svg(self) -> str:
        """The file's text."""
        width, height = self._size
        shapes = "\n".join(self._shapes)
        fonts = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
        return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" \
role="img" aria-label="{escape(self._title)}" font-family="{fonts}">
<title>{escape(self._title)}</title>
<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7.5" markerHeight="7.5" orient="auto">\
<path d="M0 0.8 L9.5 5 L0 9.2 z" fill="{INK}"/></marker></defs>
<rect width="{width:g}" height="{height:g}" rx="12" fill="{CARD}"/>
{shapes}
</svg>
"""
