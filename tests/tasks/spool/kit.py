"""What tests of the spool share: clocks that are stepped by hand, and short ways to say common things."""

import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
import trio.testing

from agent.model import Command, Outcome, Result, Stream
from agent.spool import Claim, Delivery, Limits, Spool
from agent.spool.clock import Clock
from agent.spool.writer import Need

MB = 1024 * 1024
LIMITS = Limits(max_bytes=32 * MB, output_bytes=256 * 1024, journal=1000)
OK = Result(Outcome.SUCCEEDED, exit_code=0, execution_time_ms=7)


@dataclass
class Hands:
    """The hands of all clocks."""

    wall: float = 1_800_000_000.0
    uptime: float = 5_000.0
    boot: str = "boot-one"

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.uptime, self.boot)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds


def command(id: str, *args: str) -> Command:  # noqa: A002
    return Command(id, args or ("get", "pods", id), 5.0, f"correlation-{id}", f"session-{id}")


async def accept(spool: Spool, *ids: str) -> None:
    await spool.accept([command(name) for name in ids])


async def start(spool: Spool, id: str) -> Claim:  # noqa: A002
    await accept(spool, id)
    claim = spool.claim()
    assert claim is not None
    assert claim.command.id == id
    return claim


async def run(spool: Spool, id: str, out: str = "", err: str = "", result: Result = OK) -> None:  # noqa: A002
    """From acceptance to a result that is due."""
    await start(spool, id)
    tail: list[tuple[Stream, str]] = [("stdout", out), ("stderr", err)]
    await spool.finish(id, result, tail)


async def take(spool: Spool, limit: int) -> list[Delivery]:
    """Due results, at most so many."""
    found: list[Delivery] = []
    while len(found) < limit and (delivery := await spool.take()) is not None:
        found.append(delivery)
    return found


async def take_one(spool: Spool) -> Delivery:
    delivery = await spool.take()
    assert delivery is not None
    return delivery


async def run_and_forget(spool: Spool, id: str, out: str = "") -> None:  # noqa: A002
    """The result is due, and has to be read from the file."""
    await run(spool, id, out)
    spool.release((await take_one(spool)).seq)


async def text(delivery: Delivery, stream: Stream = "stdout") -> str:
    return b"".join([piece async for piece in delivery.pieces(stream)]).decode()


async def deliver_all(spool: Spool) -> dict[str, str]:
    """Send everything that is due. Returns what arrived: ids and their stdout."""
    arrived = {}
    while delivery := await spool.take():
        arrived[delivery.command_id] = await text(delivery)
        spool.delivered(delivery.seq, 200)
    return arrived


def make_folder(otherwise: Path) -> Path:
    """A folder in memory where that is possible: what is tested isn't the disk."""
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        return otherwise
    return Path(tempfile.mkdtemp(prefix="spool-test-", dir=memory))


def snapshot(path: Path, to: Path) -> Path:
    """The files as a killed agent leaves them. Without the log's index, which is only memory."""
    to.mkdir(parents=True)
    for suffix in ("", "-wal", ".lock"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            shutil.copyfile(file, to / file.name)
    return to / path.name


@asynccontextmanager
async def held(spool: Spool) -> AsyncIterator[threading.Event]:
    """The spool's thread does nothing meanwhile, or until the event is set."""
    go = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: spool._writer.run(Need.OUTSIDE, lambda _: go.wait(10)))
        await trio.testing.wait_all_tasks_blocked()
        try:
            yield go
        finally:
            go.set()
