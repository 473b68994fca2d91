"""After an outage of half a minute or more a fleet comes back at no more than twice its steady rate."""

import random
import re
from pathlib import Path

import pytest

from agent import circuit
from agent.errors import LinkDown
from agent.link.stream import PAUSE_SECONDS
from tests.chaos.stampede import FAILING_SECONDS, OUTAGES, STEADY, Clock, peak, run, simulate, title


@pytest.mark.parametrize("seconds", [30.0, 600.0])
def test_a_fleet_that_comes_back(seconds):
    runs = simulate(seconds, random.Random(1), agents=2000)
    assert peak(runs, seconds) < 2 * STEADY / 5


def test_the_plot_and_readme_say_what_the_simulation_finds():
    """The worst one is simulated again; `make stampede` draws all of them."""
    drawn = re.findall(r"An outage of .* the steady rate", Path("docs/stampede.svg").read_text())
    assert len(drawn) == len(OUTAGES)
    assert drawn[0] == title(run(OUTAGES[0]), OUTAGES[0])
    readme = " ".join(Path("README.md").read_text().split())
    for text in drawn:
        times = text.removesuffix(" times the steady rate").rpartition(" ")[2]
        assert times in readme, f"README doesn't say: {text}"


def test_without_chance_it_would_be_a_stampede(monkeypatch):
    """The simulation does use the agent's own delays."""
    monkeypatch.setattr(circuit, "backoff", lambda failures, random, cap=60.0: min(cap, 2.0 ** (failures - 1)))
    assert peak(simulate(600.0, random.Random(1), agents=2000), 600.0) > 2 * STEADY / 5


def test_streams_that_come_back_are_spread_over_their_cap():
    """A fleet whose streams all broke at once, for a minute: only the first attempts are together."""
    chance, clock, agents = random.Random(2), Clock(), 2000
    opened = [0] * (int(PAUSE_SECONDS) + 2)
    for _ in range(agents):
        clock.now, breaker = 0.0, circuit.Circuit(chance.random, int, PAUSE_SECONDS, now=clock)
        while clock.now < 60.0:
            clock.now += FAILING_SECONDS
            breaker.failed(LinkDown("refused"))
            clock.now += breaker.pause
        opened[int(clock.now - 60.0)] += 1
    assert sum(opened) == agents
    assert max(opened) < agents / PAUSE_SECONDS * 2.5
