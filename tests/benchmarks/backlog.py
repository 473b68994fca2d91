"""After a long outage: very many results wait. What the agent holds meanwhile, and how fast they leave to the last."""

from pathlib import Path

import trio

from tests.benchmarks.agent import QUICK
from tests.benchmarks.api import BenchApi
from tests.benchmarks.figures import Figure, Report, figure
from tests.benchmarks.memory import GROUP, weighed
from tests.benchmarks.process import MEGABYTE
from tests.benchmarks.seed import fill

COUNT = 100_000
PART = 10_000


async def measure(report: Report, folder: Path, _: Path) -> None:
    """Memory while the API is away, then the rate of each tenth of the drain."""
    place = folder / "backlog"
    place.mkdir()
    await fill(place / "spool.db", pending=COUNT, output="x" * 100)
    async with weighed(place, QUICK, up=False, environ={"KUBENTLY_SPOOL_MAX_BYTES": "1Gi"}) as (api, agent, group):
        waiting = agent.watched.memory().resident
        api.up = True
        await api.until_results(PART)  # the outage's last delay is in these
        rates = [await _rate(api, until) for until in range(2 * PART, COUNT + 1, PART)]
        draining = agent.watched.memory().peak
    report.lines["drain"] = {"rate": [((number + 1.5) * PART, rate) for number, rate in enumerate(rates)]}
    report.add(
        Figure(f"memory over a backlog of {COUNT:,}, API away", "MB", waiting / MEGABYTE),
        Figure(f"peak memory while {COUNT:,} leave", "MB", draining / MEGABYTE),
        figure(f"drain of {COUNT:,}: rate of each {PART:,}", "results/s", rates, note=f"last: {rates[-1]:.0f}"),
    )
    if group:
        report.add(Figure(f"peak meanwhile, {GROUP}", "MB", group.peak / MEGABYTE))


async def _rate(api: BenchApi, until: int) -> float:
    began, before = trio.current_time(), api.results
    await api.until_results(until)
    return (until - before) / (trio.current_time() - began)
