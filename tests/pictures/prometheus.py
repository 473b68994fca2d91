"""A real Prometheus that scrapes one agent, as far as the dashboard's picture needs it."""

import json
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.rehearsal.stage import free_port

PROGRAM = shutil.which("prometheus")
SCRAPE_SECONDS = 1
STEP_SECONDS = 1
LABELS = {"namespace": "kubently", "pod": "kubently-agent-6d5f9c7b8-x2x8k"}
"""As a PodMonitor would set them."""

_VARIABLES = {"$cluster": ".*", "$namespace": ".*", "$pod": ".*", "$__rate_interval": "15s"}
_PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Series:
    """One line: its labels, and its values by second of the scene."""

    labels: Mapping[str, str]
    points: list[tuple[float, float]]


class Prometheus:
    """Asks over HTTP, as Grafana does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def range(self, expr: str, begin: float, end: float) -> list[Series]:
        """All series of an expression of the dashboard, between two moments in seconds since 1970."""
        found = await self._ask("query_range", expr, start=begin, end=end, step=STEP_SECONDS)
        return [
            Series(each["metric"], [(at - begin, float(value)) for at, value in each["values"] if value != "NaN"])
            for each in found
        ]

    async def now(self, expr: str, at: float) -> list[Series]:
        """The same at one moment."""
        return [
            Series(each["metric"], [(0.0, float(each["value"][1]))]) for each in await self._ask("query", expr, time=at)
        ]

    async def ready(self) -> None:
        """Until it answers."""
        with trio.fail_after(_PATIENCE_SECONDS):
            while True:
                try:
                    if (await self._client.get("/-/ready")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await trio.sleep(0.1)

    async def _ask(self, what: str, expr: str, **parameters: float) -> list[dict[str, Any]]:
        for variable, value in _VARIABLES.items():
            expr = expr.replace(variable, value)
        query = urllib.parse.urlencode({"query": expr, **parameters})
        answer = (await self._client.get(f"/api/v1/{what}?{query}")).json()
        if answer["status"] != "success":
            raise ValueError(f"{expr}: {answer['error']}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


@asynccontextmanager
async def prometheus(target: str) -> AsyncIterator[Prometheus]:
    """One that scrapes `target` until the end of the block. Nothing is left of it."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
        folder = Path(name)
        job = {"job_name": "kubently", "static_configs": [{"targets": [target], "labels": LABELS}]}
        config = {"global": {"scrape_interval": f"{SCRAPE_SECONDS}s"}, "scrape_configs": [job]}
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML too
        address = f"127.0.0.1:{free_port()}"
        options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
        run = partial(
            trio.run_process,
            [PROGRAM, *options],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        async with trio.open_nursery() as nursery, httpx.AsyncClient(base_url=f"http://{address}") as client:
            nursery.start_soon(run)
            asked = Prometheus(client)
            await asked.ready()
            yield asked
            nursery.cancel_scope.cancel()
