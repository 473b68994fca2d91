"""A spool in which something of everything has happened."""

from pathlib import Path

from agent.model import Command, Outcome, Result
from agent.spool import Delivery, Limits, Spool, open_spool

LIMITS = Limits(max_bytes=32 << 20, output_bytes=1 << 20, journal=20)

DELIVERED, REJECTED, WAITING, RUNNING, ACCEPTED = (
    "d0000000-delivered",
    "r0000000-rejected",
    "w0000000-waiting",
    "x0000000-running",
    "a0000000-accepted",
)
PODS = "NAME   READY\nweb-0  1/1\n"


async def fill(path: Path) -> None:
    """Make it, with one command in each state; then the agent stops."""
    async with open_spool(path, LIMITS) as spool:
        await spool.accept(
            [
                Command(DELIVERED, ("get", "pods", "-n", "a b"), 10.0, "trace-7", "session-9"),
                Command(REJECTED, ("logs", "web-0")),
                Command(WAITING, ("get", "nodes")),
            ]
        )
        await _run(spool, DELIVERED, PODS, "Warning: \x1b[31mred\x1b[0m\n")
        await _run(spool, REJECTED, "first line\nlast line without its end", "")
        await _run(spool, WAITING, "nodes\n", "")
        delivered, rejected, waiting = [await taken(spool) for _ in range(3)]
        spool.delivered(delivered.seq, 200)
        spool.rejected(rejected.seq, 404, '{"detail": "Unknown command"}')
        spool.postponed(waiting.seq, 30, None, "connection refused")
        await spool.accept([Command(RUNNING, ("describe", "pod", "web-0"))])
        spool.claim()
        await spool.accept([Command(ACCEPTED, ("top", "node"))])


async def taken(spool: Spool) -> Delivery:
    delivery = await spool.take()
    assert delivery is not None
    return delivery


async def _run(spool, command_id: str, stdout: str, stderr: str) -> None:
    claim = spool.claim()
    assert claim.command.id == command_id
    result = Result(Outcome.SUCCEEDED, exit_code=0, execution_time_ms=52, output_bytes=len(stdout))
    tail = [piece for piece in (("stdout", stdout), ("stderr", stderr)) if piece[1]]
    await spool.finish(command_id, result, tail)
