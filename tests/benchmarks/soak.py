"""`make soak MINUTES=…`: one agent under steady load and faults, its memory, descriptors and files over time.

Every few seconds the API goes away for a while, or answers with 503, or a command prints much or runs into its limit.
At the end every command must have its answer; what grows is seen in the plots.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import trio

from tests.benchmarks.agent import Agent, running, stand_in
from tests.benchmarks.api import Asked, BenchApi, bench_api
from tests.benchmarks.figures import short
from tests.benchmarks.process import MEGABYTE
from tests.plot import line_chart

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
MOST_WAITING = 30


class Soak:
    """Load, faults, and looks."""

    def __init__(self, api: BenchApi, agent: Agent, seed: int) -> None:
        self._api = api
        self._agent = agent
        self._chance = random.Random(seed)
        self._began = trio.current_time()
        self.asked: list[Asked] = []
        self.outages = 0
        self.looks: dict[str, list[tuple[float, float]]] = {}

    async def load(self) -> None:
        """Commands of all sorts, a few dozen a second."""
        while True:
            if sum(not one.arrived.is_set() for one in self.asked[-MOST_WAITING:]) < MOST_WAITING:
                self.asked.append(self._api.ask(("get", "pods", self._what()), timeout=2))
            await trio.sleep(self._chance.expovariate(30))

    def _what(self) -> str:
        draw = self._chance.random()
        if draw < 0.9:
            return "echo-something"
        if draw < 0.95:
            return "fail"
        if draw < 0.98:
            return f"flood-{self._chance.randint(1, 2_000_000)}"
        return "sleep-0.5" if draw < 0.995 else "sleep-5"

    async def faults(self) -> None:
        """An API that goes away."""
        while True:
            await trio.sleep(self._chance.uniform(5, 15))
            self._api.up = False
            self.outages += 1
            await trio.sleep(self._chance.uniform(0.5, 5))
            self._api.up = True

    async def look(self) -> None:
        """Once a second."""
        while True:
            watched, spool = self._agent.watched, self._agent.folder / "spool.db"
            sizes = [path.stat().st_size for path in spool.parent.glob("spool.db*") if path.is_file()]
            now = (trio.current_time() - self._began) / 60
            for name, value in (
                ("memory, MB", watched.memory().resident / MEGABYTE),
                ("descriptors", float(watched.descriptors())),
                ("spool files, MB", sum(sizes) / MEGABYTE),
            ):
                self.looks.setdefault(name, []).append((now, value))
            await trio.sleep(LOOK_SECONDS)


async def main(minutes: float, seed: int, pictures: Path) -> int:
    """Soak; 1 if a command was left without an answer."""
    with tempfile.TemporaryDirectory(prefix="kubently-soak-") as name:
        folder = Path(name)
        async with bench_api() as api:
            agent = Agent(
                api,
                folder,
                kubectl=stand_in(folder),
                LOG_LEVEL="WARNING",
                KUBENTLY_SPOOL_MAX_BYTES="128Mi",
                KUBENTLY_MAX_OUTPUT_BYTES="1Mi",
            )
            async with running(agent), trio.open_nursery() as nursery:
                await api.first_poll.wait()
                soak = Soak(api, agent, seed)
                nursery.start_soon(soak.look)
                with trio.move_on_after(minutes * 60):
                    async with trio.open_nursery() as busy:
                        busy.start_soon(soak.load)
                        busy.start_soon(soak.faults)
                api.up = True
                with trio.move_on_after(PATIENCE_SECONDS):
                    for one in soak.asked:
                        await one.arrived.wait()
                nursery.cancel_scope.cancel()
    unanswered = sum(not one.arrived.is_set() for one in soak.asked)
    print(f"{len(soak.asked)} commands, {soak.outages} outages, {unanswered} without an answer (seed {seed})")
    for what, points in soak.looks.items():
        quarter = max(1, len(points) // 4)
        first, last = points[quarter : 2 * quarter] or points, points[-quarter:]
        means = [sum(value for _, value in part) / len(part) for part in (first, last)]
        print(f"{what:<16} second quarter {short(means[0]):>6}   last quarter {short(means[1]):>6}")
        path = pictures / f"soak-{what.split(',', maxsplit=1)[0].replace(' ', '-')}.svg"
        line_chart(path, f"{what} under load and faults", {what: points}, x="minutes", y="")
    return 1 if unanswered else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--pictures", type=Path, default=Path("build/pictures"))
    options = parser.parse_args()
    sys.exit(trio.run(main, options.minutes, options.seed, options.pictures))
