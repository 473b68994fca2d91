"""After an outage of half a minute or more a fleet comes back at no more than twice its steady rate."""

import random

import pytest

from agent import outage
from tests.chaos.stampede import STEADY, peak, plot, simulate


@pytest.mark.parametrize("seconds", [30.0, 600.0])
def test_a_fleet_that_comes_back(seconds):
    runs = simulate(seconds, random.Random(1), agents=2000)
    assert peak(runs, seconds) < 2 * STEADY / 5
    assert plot([(seconds, runs)]).count("<polyline") == 1


def test_without_chance_it_would_be_a_stampede(monkeypatch):
    """The simulation does use the agent's own delays."""
    monkeypatch.setattr(outage, "backoff", lambda failures, random, cap=60.0: min(cap, 2.0 ** (failures - 1)))
    assert peak(simulate(600.0, random.Random(1), agents=2000), 600.0) > 2 * STEADY / 5
