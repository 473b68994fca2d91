"""5 MB of output, API to API, as share of what the peer takes: ASCII and text beyond it, redaction off and on."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.benchmarks.agent import PEER, Measured, measured
from tests.benchmarks.figures import Report, figure, median

ROUNDS = 15
SIZE = 5_000_000
LINES = {
    "ascii": '2026-11-27T22:50:18.940Z INFO payments: order 4711 paid in 12 ms, "card", 3 of 5 lines, cart a/b\n',
    "beyond": "2026-11-27T22:50:18.940Z INFO Zahlungen: Größe geändert, Übergabe bestätigt, 注文が完了しました ✓\n",
}
NO_REDACTION = "redact = false\n"


async def measure(report: Report, folder: Path, _: Path) -> None:
    """Each kind of text; three processes side by side, of which one works at a time."""
    policy = folder / "no-redaction.toml"
    policy.write_text(NO_REDACTION)
    async with AsyncExitStack() as stack:

        async def made(name: str, **more: Any) -> Measured:
            one = await stack.enter_async_context(measured(folder / f"output-{name}", **more))
            for kind, line in LINES.items():
                text = line.encode()
                (one.folder / kind).write_bytes(text * (SIZE // len(text)))
            return one

        peer = await made("peer", command=PEER)
        agents = {
            "redaction off": (await made("off", KUBENTLY_POLICY_FILE=str(policy)), 1.3),
            "redaction on": (await made("on"), 2.5),
        }
        for kind in LINES:
            await _compare(report, kind, peer, agents)


async def _compare(report: Report, kind: str, peer: Measured, agents: dict[str, tuple[Measured, float]]) -> None:
    what = f"show-{kind}"
    everybody = [peer, *(agent for agent, _ in agents.values())]
    for one in everybody:
        await one.through(what)
    seconds: dict[Measured, list[float]] = {one: [] for one in everybody}
    for _ in range(ROUNDS):
        for one, taken in seconds.items():
            taken.append(await one.through(what))
    for name, (agent, budget) in agents.items():
        ratios = [own / other for own, other in zip(seconds[agent], seconds[peer], strict=True)]
        words = f"agent {median(seconds[agent]) * 1000:.0f} ms, peer {median(seconds[peer]) * 1000:.0f} ms"
        text = "ASCII" if kind == "ascii" else "non-ASCII text"
        report.add(figure(f"5 MB of {text}, ratio to peer, {name}", "", ratios, budget=budget, note=words))
