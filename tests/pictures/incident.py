"""Three and a half minutes in an agent's life, and what the dashboard's queries find in them."""

import itertools
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from tests.pictures.prometheus import Series, prometheus
from tests.rehearsal.stage import Stage, results_answered_with, stage

DASHBOARD = Path(__file__).parents[2] / "kustomize/components/prometheus/dashboard.json"

_QUESTIONS: Sequence[Sequence[str]] = (
    ("get", "pods", "-A"),
    ("get", "events", "-n", "shop"),
    ("describe", "pod", "report-2026", "-n", "shop"),
    ("logs", "orders-db-0", "-n", "shop", "--tail=200"),
    ("get", "deployments", "-A", "-o", "json"),
    ("top", "pods", "-n", "shop"),
)
_REFUSED: Sequence[Sequence[str]] = (
    ("delete", "pod", "orders-db-0", "-n", "shop"),
    ("get", "secrets", "-A"),
    ("get", "pods", "--watch"),
)
_PAUSE_SECONDS = 0.7


@dataclass(frozen=True)
class Panel:
    """A panel of the dashboard, and what each of its queries found."""

    definition: dict[str, Any]
    found: list[list[Series]]


@dataclass(frozen=True)
class Seen:
    """The whole dashboard."""

    title: str
    seconds: float
    panels: list[Panel]
    outages: list[Series]
    """The dashboard's annotation: values while the API was away."""


async def _ask_all_the_time(s: Stage) -> None:
    chance = random.Random(7)
    for number in itertools.count():
        await s.ask(*chance.choice(_REFUSED if number % 6 == 5 else _QUESTIONS))
        await trio.sleep(_PAUSE_SECONDS)


async def _live(s: Stage) -> None:
    """A kill, an outage with a backlog, and the beginning of a second: results aren't taken."""
    await trio.sleep(45)
    s.cluster.log_delay = lambda: 2.0
    await trio.sleep(4)
    await s.agent.kill()
    await trio.sleep(3)
    await s.agent.start()
    await trio.sleep(25)
    for _ in range(8):
        await s.ask("logs", "orders-db-0", "-n", "shop", "--tail=200")
    await trio.sleep(1.5)
    await s.api.stop()
    await trio.sleep(35)
    await s.api.start()
    s.cluster.log_delay = lambda: 0.0
    await trio.sleep(45)
    s.api.interfere = results_answered_with(503)
    await trio.sleep(45)


async def watched() -> Seen:
    """Live through it, and ask every query of the dashboard at its end."""
    dashboard = json.loads(DASHBOARD.read_text())
    more = {"KUBENTLY_SPOOL_MAX_BYTES": "32Mi", "KUBENTLY_MAX_OUTPUT_BYTES": "2Mi"}
    async with stage({}, 11, **more) as s, prometheus(s.probes) as asked, trio.open_nursery() as nursery:
        nursery.start_soon(_ask_all_the_time, s)
        await trio.sleep(20)  # a rate needs a while behind it
        begin = time.time()
        await _live(s)
        end = time.time()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            panels = []
            for definition in dashboard["panels"]:
                queries = definition["targets"]
                found = [
                    await (asked.now(q["expr"], end) if q.get("instant") else asked.range(q["expr"], begin, end))
                    for q in queries
                ]
                if not all(found):
                    raise ValueError(f"{definition['title']}: a query returns nothing")
                panels.append(Panel(definition, found))
            (annotation,) = dashboard["annotations"]["list"]
            outages = await asked.range(annotation["expr"], begin, end)
    return Seen(dashboard["title"], end - begin, panels, outages)
