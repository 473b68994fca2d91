"""`make soak MINUTES=…`: one agent under steady load and faults, its memory, descriptors and files over time.

Every few seconds the API goes away for a while, or answers with 503, or a command prints much or runs into its limit.
At the end every command must have its answer; what grows is seen in the plot.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import trio
from matplotlib.figure import Figure

from tests.benchmarks.agent import Measured
from tests.benchmarks.figures import short
from tests.kit import faults
from tests.kit.api import Known, fake_api
from tests.kit.process import MEGABYTE

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
MOST_WAITING = 30


class Soak:
    """Load, faults, and looks."""

    def __init__(self, agent: Measured, seed: int) -> None:
        self._agent, self._api = agent, agent.api
        self._chance = random.Random(seed)
        self._began = trio.current_time()
        self.asked: list[Known] = []
        self.outages = 0
        self.looks: dict[str, list[tuple[float, float]]] = {}

    async def load(self) -> None:
        """Commands of all sorts, a few dozen a second."""
        while True:
            if sum(not one.answered.is_set() for one in self.asked[-MOST_WAITING:]) < MOST_WAITING:
                self.asked.append(self._api.queue(self._what(), timeout=2))
            await trio.sleep(self._chance.expovariate(30))

    def _what(self) -> str:
        draw = self._chance.random()
        if draw < 0.95:
            return "echo-something"
        if draw < 0.98:
            return f"flood-{self._chance.randint(1, 2_000_000)}"
        return "sleep-0.5" if draw < 0.995 else "sleep-5"

    async def faults(self) -> None:
        """An API that goes away, or answers with 503."""
        while True:
            await trio.sleep(self._chance.uniform(5, 15))
            self.outages += 1
            if self._chance.random() < 0.5:
                self._api.refuse()
            else:
                self._api.chance = lambda _: faults.status(503)
            await trio.sleep(self._chance.uniform(0.5, 5))
            self.well()

    def well(self) -> None:
        """The API is there again."""
        self._api.chance = lambda _: None
        self._api.listen()

    async def look(self) -> None:
        """Once a second."""
        while True:
            watched, spool = self._agent.watched, self._agent.spool
            sizes = [path.stat().st_size for path in spool.parent.glob("spool.db*") if path.is_file()]
            now = (trio.current_time() - self._began) / 60
            for name, value in (
                ("memory, MB", watched.memory().resident / MEGABYTE),
                ("descriptors", float(watched.descriptors())),
                ("spool files, MB", sum(sizes) / MEGABYTE),
            ):
                self.looks.setdefault(name, []).append((now, value))
            await trio.sleep(LOOK_SECONDS)


async def main(minutes: float, seed: int, picture: Path) -> int:
    """Soak; 1 if a command was left without an answer."""
    limits: dict[str, Any] = {"KUBENTLY_SPOOL_MAX_BYTES": "128Mi", "KUBENTLY_MAX_OUTPUT_BYTES": "1Mi"}
    with tempfile.TemporaryDirectory(prefix="kubently-soak-") as name:
        async with fake_api(["poll"]) as api, trio.open_nursery() as nursery:
            agent = Measured(api, Path(name), LOG_LEVEL="WARNING", **limits)
            await agent.start()
            try:
                await api.parked()
                soak = Soak(agent, seed)
                nursery.start_soon(soak.look)
                with trio.move_on_after(minutes * 60):
                    async with trio.open_nursery() as busy:
                        busy.start_soon(soak.load)
                        busy.start_soon(soak.faults)
                soak.well()
                with trio.move_on_after(PATIENCE_SECONDS):
                    for one in soak.asked:
                        await one.answered.wait()
            finally:
                await agent.end()
            nursery.cancel_scope.cancel()
    unanswered = sum(not one.answered.is_set() for one in soak.asked)
    print(f"{len(soak.asked)} commands, {soak.outages} outages, {unanswered} without an answer (seed {seed})")
    for what, points in soak.looks.items():
        quarter = max(1, len(points) // 4)
        first, last = points[quarter : 2 * quarter] or points, points[-quarter:]
        means = [sum(value for _, value in part) / len(part) for part in (first, last)]
        print(f"{what:<16} second quarter {short(means[0]):>6}   last quarter {short(means[1]):>6}")
    draw(soak.looks, picture)
    return 1 if unanswered else 0


def draw(looks: dict[str, list[tuple[float, float]]], picture: Path) -> None:
    """One panel for each thing that was looked at."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    for axes, (what, points) in zip(figure.subplots(len(looks), sharex=True), looks.items(), strict=True):
        axes.plot(*zip(*points, strict=True))
        axes.set(ylabel=what, ylim=(0, None))
    axes.set_xlabel("minutes under load and faults")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--picture", type=Path, default=Path("build/soak.svg"))
    options = parser.parse_args()
    sys.exit(trio.run(main, options.minutes, options.seed, options.picture))
