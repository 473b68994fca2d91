"""One command, API to API: what the agent adds to the bare line, as share of what the peer adds. And processor time.

The bare line, the agent, the peer and the floor take turns. A block is ten of each; of each block one ratio is kept.
"""

import subprocess
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.agent import FLOOR, PEER, Measured, measured
from tests.benchmarks.cluster import GET_PODS, KUBECTL
from tests.benchmarks.figures import Figure, Report, figure, median

WARM_UP = 5
BLOCKS, BLOCK = 12, 10


async def measure(report: Report, folder: Path, kubeconfig: Path) -> None:
    """With a stand-in that takes a millisecond, and with a real kubectl, which takes both cores meanwhile."""
    real: dict[str, Any] = {"kubectl": KUBECTL, "kubeconfig": kubeconfig}
    for name, args, how in (("1 ms stand-in", ["get", "pods", "say-hello"], {}), ("real kubectl", [*GET_PODS], real)):
        place = folder / f"latency-{len(how)}"
        place.mkdir()
        async with (
            measured(place / "agent", **how) as agent,
            measured(place / "peer", command=PEER, **how) as peer,
            measured(place / "floor", command=FLOOR, **how) as floor,
        ):
            await _compare(report, name, args, agent, peer, floor)


async def _compare(
    report: Report, name: str, args: list[str], agent: Measured, peer: Measured, floor: Measured
) -> None:
    everyone = (agent, peer, floor)
    for _ in range(WARM_UP):
        _bare(agent, args)
        for one in everyone:
            await one.through(args)
    bares, ratios, shares, least = [], [], [], []
    added: dict[Measured, list[float]] = {one: [] for one in everyone}
    cpu = dict.fromkeys(everyone, 0.0)
    for _ in range(BLOCKS):
        times: dict[Measured, list[float]] = {one: [] for one in everyone}
        bare, used = [], {one: one.watched.cpu_seconds() for one in times}
        for _ in range(BLOCK):
            bare.append(_bare(agent, args))
            for one, taken in times.items():
                taken.append(await one.through(args) * 1000)
        for one, taken in times.items():
            added[one].append(median(taken) - median(bare))
            used[one] = (one.watched.cpu_seconds() - used[one]) * 1000 / BLOCK
            cpu[one] += used[one] / BLOCKS
        bares.append(median(bare))
        ratios.append(added[agent][-1] / max(added[peer][-1], 0.01))
        shares.append(used[agent] / used[peer])
        least.append(used[floor] / used[peer])
    both = f"agent {median(added[agent]):.2f} ms, peer {median(added[peer]):.2f} ms, over {median(bares):.1f} ms"
    report.add(
        figure(f"time added per command, ratio to peer, {name}", "", ratios, budget=1.5, note=both),
        figure(
            f"CPU time per command, ratio to peer, {name}",
            "",
            shares,
            budget=1.2,
            note=f"agent {cpu[agent]:.2f} ms, peer {cpu[peer]:.2f} ms",
        ),
        figure(
            f"the same of trio and httpx alone, {name}",
            "",
            least,
            note=f"{cpu[floor]:.2f} ms; it adds {median(added[floor]):.2f} ms per command",
        ),
        Figure(f"time added per command, {name}", "ms", median(added[agent]), count=BLOCKS * BLOCK),
    )


def _bare(agent: Measured, args: list[str]) -> float:
    """Milliseconds of the line alone."""
    line, environ = agent.bare(args)
    began = time.perf_counter()
    subprocess.run(line, env=environ, capture_output=True, stdin=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000
