"""`make stampede`: 10,000 agents come back after an outage. How many requests a second does the API see?

    python -m tests.chaos.stampede docs/stampede.svg

The shortest outage is the worst: all connections break at once, and each agent is back within the second.

Each agent is the agent's own `Circuit` with clock and chance of its own; only the requests are left out. While the API
answers, an agent polls every 20 s and asks for the session's state once a minute. While it doesn't, an attempt fails
after a moment, and the next one waits as `agent.circuit` says. After it the eager poll that found the API again lasts
1 s, and then the ordinary rhythm goes on.
"""

import heapq
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

from agent.circuit import Circuit
from agent.errors import LinkDown
from agent.link.poll import STATUS_EVERY_IDLE, WAIT_ACTIVE, WAIT_IDLE

AGENTS = 10_000
STEADY = AGENTS * (1 / WAIT_IDLE + 1 / STATUS_EVERY_IDLE)
"""Requests a second while all is well."""

BEFORE, AFTER = 60.0, 180.0
"""How much is looked at before the outage and after it, in seconds."""

SPREAD_SECONDS = 30.0
"""From this length on the agents are spread over the cap. After a shorter outage they are back sooner, and closer
together: a delay that spread 10,000 agents from the first second on would have to be of 15 s, and each of them would
then wait so long after a single lost connection."""

FAILING_SECONDS = 0.05
"""How long an attempt takes to fail, as when connections are refused."""


class Clock:
    """One clock for all agents of a simulation."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Agent:
    """One agent's rhythm."""

    circuit: Circuit
    asked_at: float
    in_step: bool = False


def simulate(outage_seconds: float, chance: random.Random, agents: int = AGENTS) -> list[int]:
    """Requests in each second, from `BEFORE` seconds before the outage to `AFTER` seconds after it."""
    clock = Clock()
    down, up = BEFORE, BEFORE + outage_seconds
    seconds = [0] * int(up + AFTER)
    waiting: list[tuple[float, int]] = []
    fleet = []
    for number in range(agents):
        fleet.append(Agent(Circuit(chance.random, int, now=clock), -chance.uniform(0, STATUS_EVERY_IDLE)))
        waiting.append((chance.uniform(0, WAIT_IDLE), number))
    heapq.heapify(waiting)
    while waiting:
        clock.now, number = heapq.heappop(waiting)
        if clock.now >= len(seconds):
            continue
        seconds[int(clock.now)] += 1
        heapq.heappush(waiting, (_next(fleet[number], clock, down, up, seconds, chance), number))
    return seconds


def _next(agent: Agent, clock: Clock, down: float, up: float, seconds: list[int], chance: random.Random) -> float:
    """One request of an agent, now. Returns when its next one is."""
    circuit = agent.circuit
    probe = circuit.down
    if down <= clock.now < up:
        began = clock.now
        clock.now += FAILING_SECONDS
        circuit.failed(LinkDown("refused"))
        wait = circuit.pause
        clock.now = began
        return began + FAILING_SECONDS + wait
    circuit.succeeded()
    if probe:
        agent.in_step = True
        return clock.now + WAIT_ACTIVE
    if clock.now - agent.asked_at >= STATUS_EVERY_IDLE:  # asked just before this poll
        agent.asked_at = clock.now
        seconds[int(clock.now)] += 1
    part, agent.in_step = chance.random() if agent.in_step else 1.0, False
    answered = clock.now + max(WAIT_ACTIVE, round(part * WAIT_IDLE))
    return min(answered, down) if clock.now < down else answered


def peak(seconds: Sequence[int], outage_seconds: float) -> int:
    """The most requests in a second of the first minute after the outage."""
    up = int(BEFORE + outage_seconds)
    return max(seconds[up : up + 60])


OUTAGES = (1.0, 10.0, 30.0, 600.0)
"""Seconds. What is plotted, and what README names."""


def run(outage_seconds: float) -> list[int]:
    """The simulation of such an outage: the same each time."""
    return simulate(outage_seconds, random.Random(f"stampede {outage_seconds}"))


def title(seconds: Sequence[int], outage_seconds: float) -> str:
    """What came of it."""
    found = peak(seconds, outage_seconds)
    name = f"{outage_seconds / 60:g} min" if outage_seconds >= 60 else f"{outage_seconds:g} s"
    return f"An outage of {name}: at most {found:,} requests a second, {found / STEADY:.1f} times the steady rate"


def plot(runs: Sequence[tuple[float, Sequence[int]]]) -> Figure:
    """A panel for each outage. Each reaches up to its own peak."""
    figure = Figure(figsize=(9, 2.1 * len(runs)), layout="constrained")
    for axes, (length, seconds) in zip(figure.subplots(len(runs), squeeze=False)[:, 0], runs, strict=True):
        since = [second + 0.5 - BEFORE - length for second in range(len(seconds))]
        axes.axvspan(-length, 0, color="#f3d9d6")
        axes.axhline(STEADY, color="#999", linewidth=0.8, linestyle="dotted")
        reaching = [math.nan if -length < at < 0 else rate for at, rate in zip(since, seconds, strict=True)]
        axes.plot(since, reaching, linewidth=1)
        axes.set_title(title(seconds, length), loc="left", fontsize=10)
        axes.set(xlim=(since[0], since[-1]), ylim=(0, None), ylabel="requests/s")
    axes.set_xlabel(
        "seconds since the API is back; red: it is away, and no request reaches it; dotted: the steady rate"
    )
    return figure


def main(path: str) -> int:
    """Simulate, say and plot. 1 if an outage of minutes is followed by more than twice the steady rate."""
    runs = [(length, run(length)) for length in OUTAGES]
    for length, seconds in runs:
        print(title(seconds, length))
    with mpl.rc_context({"svg.hashsalt": "stampede", "svg.fonttype": "none"}):  # the same file each time
        plot(runs).savefig(path, metadata={"Date": None})
    return int(any(peak(seconds, length) > 2 * STEADY for length, seconds in runs if length >= SPREAD_SECONDS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
