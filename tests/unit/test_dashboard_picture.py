"""The dashboard's picture: every panel is in it, with what its queries returned, and nothing is drawn over a gap."""

import json
from typing import Any
from xml.etree import ElementTree as ET

from tests.pictures.dashboard import drawn, in_unit, legend
from tests.pictures.incident import DASHBOARD, Panel, Seen
from tests.pictures.prometheus import Series

LABELS = {"outcome": "succeeded", "rule": "verb", "state": "spooled", "pod": "agent-1", "version": "0.1.0"}
GAP = (20, 30)
"""Seconds in which the agent wasn't there."""


def seen() -> Seen:
    definitions: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    line = Series(LABELS, [(at, at / 10) for at in range(60) if not GAP[0] < at < GAP[1]])
    one = Series(LABELS, [(0.0, 1.0)])
    panels = [Panel(d, [[one if q.get("instant") else line] for q in d["targets"]]) for d in definitions]
    return Seen("Kubently agent", 60.0, panels, [Series({}, [(at, 0.0) for at in range(5, 15)])])


def test_every_panel_is_drawn():
    found = seen()
    picture = drawn(found)
    texts = {element.text for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")}
    assert {panel.definition["title"] for panel in found.panels} <= texts
    assert {"succeeded", "verb", "median", "agent-1", "yes"} <= texts
    lines = sum(len(panel.found) for panel in found.panels if panel.definition["type"] == "timeseries")
    assert picture.count("<polyline") == 2 * lines, "each is cut in two by the gap"


def test_names_and_values_as_grafana_would_write_them():
    assert legend("{{outcome}} of {{pod}}", Series(LABELS, [])) == "succeeded of agent-1"
    assert in_unit(0.3, "percentunit") == "30 %"
    assert in_unit(3 << 20, "bytes") == "3 MiB"
    assert in_unit(75, "s") == "1 min 15 s"
    assert in_unit(7, "short") == "7"
