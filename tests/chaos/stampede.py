"""`make stampede`: 10,000 agents come back after an outage. How many requests a second does the API see?

    python -m tests.chaos.stampede docs/stampede.svg

Each agent is the agent's own `Outage` with a clock and chance of its own; only the requests are left out. While the API
answers, an agent polls every 20 s and asks for the session's state once a minute. While it doesn't, an attempt fails
after a moment, and the next one waits as `agent.outage` says. After it the eager poll that found the API again lasts
1 s, and then the ordinary rhythm goes on.
"""

import heapq
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.link.poll import STATUS_EVERY_IDLE, WAIT_ACTIVE, WAIT_IDLE
from agent.outage import Outage

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

    outage: Outage
    asked_at: float


def simulate(outage_seconds: float, chance: random.Random, agents: int = AGENTS) -> list[int]:
    """Requests in each second, from `BEFORE` seconds before the outage to `AFTER` seconds after it."""
    clock = Clock()
    down, up = BEFORE, BEFORE + outage_seconds
    seconds = [0] * int(up + AFTER)
    waiting: list[tuple[float, int]] = []
    fleet = []
    for number in range(agents):
        fleet.append(Agent(Outage(clock, chance.random), -chance.uniform(0, STATUS_EVERY_IDLE)))
        waiting.append((chance.uniform(0, WAIT_IDLE), number))
    heapq.heapify(waiting)
    while waiting:
        clock.now, number = heapq.heappop(waiting)
        if clock.now >= len(seconds):
            continue
        seconds[int(clock.now)] += 1
        heapq.heappush(waiting, (_next(fleet[number], clock, down, up, seconds), number))
    return seconds


def _next(agent: Agent, clock: Clock, down: float, up: float, seconds: list[int]) -> float:
    """One request of an agent, now. Returns when its next one is."""
    outage = agent.outage
    probe = outage.begin()
    if down <= clock.now < up:
        began = clock.now
        clock.now += FAILING_SECONDS
        outage.failed("refused", probe=probe)
        wait = outage.wait()
        clock.now = began
        return began + FAILING_SECONDS + wait
    outage.succeeded(probe=probe)
    if probe:
        return clock.now + WAIT_ACTIVE
    if clock.now - agent.asked_at >= STATUS_EVERY_IDLE:  # asked just before this poll
        agent.asked_at = clock.now
        seconds[int(clock.now)] += 1
    answered = clock.now + WAIT_IDLE
    return min(answered, down) if clock.now < down else answered


def peak(seconds: Sequence[int], outage_seconds: float) -> int:
    """The most requests in a second of the first minute after the outage."""
    up = int(BEFORE + outage_seconds)
    return max(seconds[up : up + 60])


WIDTH, HEIGHT, LEFT, TOP = 860, 210, 70, 34


def _panel(seconds: Sequence[int], outage_seconds: float, offset: float) -> str:
    most = 4 * STEADY
    plot_width, plot_height = WIDTH - LEFT - 20, HEIGHT - TOP - 40

    def x(second: float) -> float:
        return LEFT + plot_width * second / len(seconds)

    def y(rate: float) -> float:
        return offset + TOP + plot_height * (1 - min(rate, most) / most)

    up = BEFORE + outage_seconds
    bottom = offset + TOP + plot_height
    points = " ".join(f"{x(second + 0.5):.1f},{y(rate):.1f}" for second, rate in enumerate(seconds))
    found = peak(seconds, outage_seconds)
    name = f"{outage_seconds / 60:g} min" if outage_seconds >= 60 else f"{outage_seconds:g} s"
    lines = [
        f'<text x="{LEFT}" y="{offset + 20}" class="title">An outage of {name}: in the minute after it at most '
        f"{found} requests a second, {found / STEADY:.1f} times the steady rate</text>",
        f'<rect x="{x(BEFORE):.1f}" y="{offset + TOP}" width="{x(up) - x(BEFORE):.1f}" height="{plot_height}" '
        'class="down"/>',
        f'<polyline points="{points}" class="rate"/>',
    ]
    for times, label in ((0, "0"), (1, f"{STEADY:.0f}/s"), (2, "twice"), (4, "4 times")):
        at = y(times * STEADY)
        kind = "bound" if times == 2 else "grid"
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{at:.1f}" y2="{at:.1f}" class="{kind}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" class="left">{label}</text>')
    for second, label in ((BEFORE, "down"), (up, "back"), (up + 60, "+1 min"), (up + 120, "+2 min")):
        lines.append(f'<text x="{x(second):.1f}" y="{bottom + 18:.1f}" class="middle">{label}</text>')
    return "\n".join(lines)


STYLE = """
  text { font: 13px sans-serif; fill: #333 } .title { font-weight: bold } .left { text-anchor: end }
  .middle { text-anchor: middle } .down { fill: #f3d9d6 } .grid { stroke: #ccc } .bound { stroke: #c0392b;
  stroke-dasharray: 6 4 } .rate { fill: none; stroke: #1f5f99; stroke-width: 1.2 }
"""


def plot(runs: Sequence[tuple[float, Sequence[int]]]) -> str:
    """An SVG with one panel a run."""
    panels = "\n".join(_panel(seconds, length, HEIGHT * row) for row, (length, seconds) in enumerate(runs))
    size = f'width="{WIDTH}" height="{HEIGHT * len(runs)}" viewBox="0 0 {WIDTH} {HEIGHT * len(runs)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{STYLE}</style>\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{panels}\n</svg>\n'
    )


def main(path: str) -> int:
    """Simulate, say and plot. 1 if an outage of minutes is followed by more than twice the steady rate."""
    runs = [(length, simulate(length, random.Random(f"stampede {length}"))) for length in (10.0, 30.0, 600.0)]
    for length, seconds in runs:
        found = peak(seconds, length)
        print(f"outage of {length:g} s: at most {found}/s, steady {STEADY:.0f}/s, {found / STEADY:.2f} times")
    Path(path).write_text(plot(runs))
    return int(any(peak(seconds, length) > 2 * STEADY for length, seconds in runs if length >= SPREAD_SECONDS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
