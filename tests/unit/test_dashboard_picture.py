"""The dashboard's picture: every panel is in it, with what its queries returned, and nothing is drawn over a gap."""

import json
from typing import Any

from matplotlib.colors import to_hex

from tests.pictures.dashboard import drawn, in_unit, legend
from tests.pictures.incident import DASHBOARD, Panel, Seen
from tests.pictures.prometheus import Series

LABELS = {"outcome": "succeeded", "rule": "verb", "state": "spooled", "pod": "agent-1", "version": "0.1.0"}
GAP = (20, 30)
"""Seconds in which the agent wasn't there."""


def test_every_panel_is_drawn_and_nothing_over_a_gap():
    definitions: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    line = Series(LABELS, [(at, at / 10) for at in range(60) if not GAP[0] < at < GAP[1]])
    one = Series(LABELS, [(0.0, 1.0)])
    panels = [Panel(d, [[one if q.get("instant") else line] for q in d["targets"]]) for d in definitions]
    figure = drawn(Seen("Kubently agent", 60.0, panels, [Series({}, [(at, 0.0) for at in range(5, 15)])]))
    titles = {axes.get_title(loc="left") or axes.texts[0].get_text() for axes in figure.axes}
    assert titles == {definition["title"] for definition in definitions}
    parts = [each for axes in figure.axes for each in axes.lines]
    assert len(parts) == 2 * sum(len(panel.found) for panel in panels if panel.definition["type"] == "timeseries")
    minutes: list[Any] = [each.get_xdata() for each in parts]
    assert not [at for run in minutes for at in run if GAP[0] < at * 60 < GAP[1]]
    finished = next(axes for axes in figure.axes if axes.get_title(loc="left") == "Commands finished")
    assert to_hex(finished.lines[0].get_color()) == "#3d9a50", "success is green"


def test_names_and_values_as_grafana_would_write_them():
    assert legend("{{outcome}} of {{pod}}", Series(LABELS, [])) == "succeeded of agent-1"
    assert in_unit(0.3, "percentunit") == "30 %"
    assert in_unit(3 << 20, "bytes") == "3 MiB"
    assert in_unit(75, "s") == "1 min 15 s"
    assert in_unit(7, "short") == "7"
