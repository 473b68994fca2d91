"""Alerts and dashboard ask for metrics that there are, and the alerts ring when they should."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.circuit import Circuit
from agent.metrics import POLLS, UPLOADS, Metrics
from agent.model import Outcome
from agent.probes import gauges
from agent.spool import Counts, Recovery
from tests.kustomize.builds import ROOT, build, of_kind, overlay, the

FOLDER = ROOT / "components/prometheus"
PROMTOOL = shutil.which("promtool")


@pytest.fixture(scope="module")
def scrape() -> str:
    outage = Circuit(lambda: 0.0, int, now=lambda: 0.0)
    outage.succeeded()
    counts = Counts(1, 2, 3, 4, 5.0, 6, 7, 8, 9, 10, None)
    return Metrics().render() + "".join(
        (
            *gauges.of_agent("v1.37.1", 0, {"spool": 1, "kubectl": 1, "api": 1}, outage, 0.0),
            *gauges.of_spool(counts, Recovery()),
            *gauges.of_process(),
        )
    )


@pytest.fixture(scope="module")
def rules() -> dict[str, Any]:
    found = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return dict(found["spec"])


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return found


def queries(node: object) -> Iterator[str]:
    """Every expression in a dashboard or in rules."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"expr", "definition"}:
                yield value
            yield from queries(value)
    elif isinstance(node, list):
        for each in node:
            yield from queries(each)


def unknown(expressions: list[str], scrape: str) -> set[str]:
    """Names, and values of labels, that no scrape ever has."""
    assert expressions
    told = {line.split("{")[0].split()[0] for line in scrape.splitlines() if not line.startswith("#")}
    asked = {name for each in expressions for name in re.findall(r"\b(?:kubently|process)_[a-z_]+\b", each)}
    labels = {pair for each in expressions for pair in re.findall(r'\b(?:check|state|outcome|rule)!?="[a-z_]+"', each)}
    return (asked - told) | {label for label in labels if label.replace("!", "") not in scrape}


def test_the_alerts_ask_for_what_there_is(rules: dict[str, Any], scrape: str):
    assert unknown(list(queries(rules)), scrape) == set()


def test_the_dashboard_asks_for_what_there_is(dashboard: dict[str, Any], scrape: str):
    assert unknown(list(queries(dashboard)), scrape) == set()


def test_every_alert_says_what_to_do(rules: dict[str, Any]):
    guide = (ROOT.parent / "docs/incident.md").read_text()
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) == 3
    for alert in alerts:
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        assert f"**{alert['alert']}**" in guide, "the table at its top begins with it"
        assert "`kubectl " in alert["annotations"]["description"]
        assert alert["labels"]["severity"] in {"warning", "critical"}
        sections = re.findall(r"[a-z]+(?:-[a-z]+)+(?=$|[ {])", alert["annotations"]["runbook_url"].partition("#")[2])
        assert sections
        assert set(sections) <= anchors(guide)
    assert "-n kubently" not in json.dumps(rules), "the namespace is the overlay's"


def anchors(document: str) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^##+ (.*)$", document, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_dashboards_panels_dont_overlap(dashboard: dict[str, Any]):
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


REQUIRED = {
    "stat": "colorMode graphMode justifyMode orientation percentChangeColorMode reduceOptions showPercentChange"
    " textMode wideLayout",
    "timeseries": "legend tooltip",
    "table": "frameIndex showHeader",
}
"""What Grafana's schema for dashboards says each kind of panel has (its foundation SDK, strictly read)."""


def test_every_panel_is_whole(dashboard: dict[str, Any]):
    for panel in dashboard["panels"]:
        assert set(panel["options"]) == set(REQUIRED[panel["type"]].split())
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) > 0
        if panel["type"] == "timeseries":
            assert set(panel["options"]["legend"]) == {"calcs", "displayMode", "placement", "showLegend"}
            assert all(target["legendFormat"] for target in panel["targets"])


GOOD = {"succeeded", "stored", "commands", "empty", "running", "rerun"}
REFUSED = {"refused", "rejected"}
FAILED = {"failed", "timed_out", "unstarted", "interrupted", "damaged", "later", "gave_up"}


def test_success_is_green_a_refusal_amber_and_a_failure_red(dashboard: dict[str, Any]):
    seen = set()
    for panel in dashboard["panels"]:
        for override in panel["fieldConfig"]["overrides"]:
            (colour,) = override["properties"]
            name, value = override["matcher"]["options"], colour["value"]["fixedColor"]
            family = value.rpartition("-")[2]
            assert (family == "green") is (name in GOOD), (panel["title"], name)
            assert (family == "orange") is (name in REFUSED), (panel["title"], name)
            assert (family == "red") is (name in FAILED), (panel["title"], name)
            seen.add(name)
    assert seen >= {*Outcome, *UPLOADS, *POLLS}


def test_every_query_looks_at_the_chosen_agents_alone(dashboard: dict[str, Any]):
    chosen = 'cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod"'
    asked = [*queries(dashboard["panels"]), *queries(dashboard["annotations"])]
    for query in asked:
        selectors = re.findall(r"\b((?:kubently|process)_[a-z_]+)(\{[^}]*\})?", query)
        own = [braces for name, braces in selectors if name != "kubently_build_info" or braces]
        assert own
        assert all(chosen in braces for braces in own), query
    variables = [each["name"] for each in dashboard["templating"]["list"]]
    assert variables == ["datasource", "cluster", "namespace", "pod"]
    # A Prometheus of one cluster sets no such label, and `.+` would match nothing there.
    assert dashboard["templating"]["list"][1]["allValue"] == ".*"


def test_a_panel_doesnt_mix_units(dashboard: dict[str, Any]):
    """One axis for bytes and cores together would show one of them as a flat line."""
    for panel in dashboard["panels"]:
        about = {"bytes" in query for query in queries(panel["targets"])}
        assert len(about) == 1, panel["title"]


def test_the_dashboard_travels_in_a_config_map(dashboard: dict[str, Any], tmp_path: Path):
    manifests = build(overlay(tmp_path, components=["prometheus"]))
    (found,) = [m for m in of_kind(manifests, "ConfigMap") if "dashboard.json" in m["data"]]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["dashboard.json"]) == dashboard
    assert the(manifests, "PrometheusRule")["spec"]["groups"]


@pytest.fixture
def promtool(rules: dict[str, Any], tmp_path: Path) -> Path:
    """A folder with the rules as Prometheus itself reads them."""
    if PROMTOOL is None:
        pytest.skip("promtool isn't installed (Debian: apt-get install prometheus)")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    return tmp_path


def promtool_says(*arguments: str, text: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROMTOOL), *arguments], input=text, capture_output=True, text=True, check=False, cwd=folder
    )


def check(*arguments: str, text: str = "", folder: Path | None = None) -> None:
    done = promtool_says(*arguments, text=text, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_rules_and_metrics(promtool: Path, scrape: str):
    check("check", "rules", "rules.yaml", folder=promtool)
    check("check", "metrics", text=scrape)


POD = 'namespace="kubently", pod="agent-1"'
BUILD = {"series": f"kubently_build_info{{{POD}}}", "values": "1x60"}


@pytest.mark.parametrize(
    ("alert", "minute", "rings", "series"),
    [
        ("KubentlyResultsWaiting", 20, True, {f"kubently_spool_oldest_pending_age_seconds{{{POD}}}": "0+60x60"}),
        ("KubentlyResultsWaiting", 12, False, {f"kubently_spool_oldest_pending_age_seconds{{{POD}}}": "0+60x60"}),
        ("KubentlyAgentNotReady", 11, True, {f'kubently_ready{{{POD}, check="api"}}': "0x60"}),
        ("KubentlyAgentNotReady", 9, False, {f'kubently_ready{{{POD}, check="api"}}': "0x60"}),
        ("KubentlyAgentNotReady", 30, False, {f'kubently_ready{{{POD}, check="api"}}': "1x60"}),
        ("KubentlyAgentGone", 30, True, {f"process_start_time_seconds{{{POD}}}": "0+100x60"}),
        ("KubentlyAgentGone", 30, False, {f"process_start_time_seconds{{{POD}}}": "1x60"}),
        ("KubentlyAgentGone", 30, False, {'process_start_time_seconds{namespace="x", pod="y"}': "0+100x60"}),
    ],
)
def test_an_alert_rings_when_it_should(
    promtool: Path, rules: dict[str, Any], alert: str, minute: int, rings: bool, series: dict[str, str]
):
    run_rules(promtool, alert, minute, rings, [BUILD, *({"series": s, "values": v} for s, v in series.items())])


def test_no_agent_at_all_rings(promtool: Path):
    run_rules(promtool, "KubentlyAgentGone", 6, True, [])


@pytest.mark.parametrize(
    ("unwell", "says", "section"),
    [
        ("api", "no commands arrive", "api-unreachable"),
        ("spool", "no commands are taken", "spool-filling"),
        ("kubectl", "answered with an error", "kubectl-does-not-run"),
        ("running", "is ending", "pod-evicted"),
    ],
)
def test_an_agent_that_isnt_ready_says_why(promtool: Path, unwell: str, says: str, section: str):
    series = [{"series": f'kubently_ready{{{POD}, check="{unwell}"}}', "values": "0x60"}]
    nothing = {"eval_time": "20m", "alertname": "KubentlyAgentNotReady", "exp_alerts": []}
    write_case(promtool, series, alert_rule_test=[nothing])
    rung = promtool_says("test", "rules", "test.yaml", folder=promtool).stderr  # what rang instead of nothing
    assert f'incident.md#{section}"' in rung
    assert says in rung
    assert "  " not in rung.partition("description=")[2].partition("runbook_url=")[0]


def run_rules(folder: Path, alert: str, minute: int, rings: bool, series: list[dict[str, str]]) -> None:
    """Through promtool's own count of alerts: what they say is for people."""
    counted = {
        "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": "{}", "value": int(rings)}],
    }
    write_case(folder, series, promql_expr_test=[counted])
    check("test", "rules", "test.yaml", folder=folder)


def write_case(folder: Path, series: list[dict[str, str]], **tests: object) -> None:
    case = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, **tests}],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(case))
