"""Days pass, clocks are stepped, the process sleeps: memory, descriptors and the file stay as they are."""

import gc
import resource
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agent.config import Config
from agent.errors import LinkDown
from agent.link import Batch, Reply, Verdict
from agent.model import Command
from agent.policy import PolicyFile
from agent.run import Agent
from agent.spool import Limits, open_spool
from tests.chaos.standin import ChaosAgent, prints
from tests.kit import THOROUGH
from tests.kit.api import fake_api
from tests.tasks.fakes import FakeKubectl, FakeLink, until

pytestmark = pytest.mark.chaos

DAY = 86_400.0


@dataclass(frozen=True)
class Rhythm:
    """What time is like on one link, in seconds."""

    settled: float
    """How long an agent is left alone first: its files grow to their usual size."""
    looked_at: float
    """How long it is watched then."""
    receive: float
    """How long a receive lasts that brings nothing."""
    pause: float
    """The longest pause between two attempts."""
    pictures: int
    """How many of its tasks find out for themselves that the API is away."""


RHYTHMS = {  # on a stream more happens in an hour
    "poll": Rhythm(7_200.0, DAY if THOROUGH else DAY / 4, 20.0, 60.0, 1),
    "stream": Rhythm(1_800.0, DAY if THOROUGH else DAY / 24, 15.0, 10.0, 2),
}


class Idle(FakeLink):
    """An API without commands, or one that is away."""

    def __init__(self, link, *, away=False):
        super().__init__(pulls=link == "poll", burst=10 if link == "poll" else 0)
        self.rhythm = RHYTHMS[link]
        self.pause_seconds = self.rhythm.pause
        self.away = away
        self.asked = 0
        """Polls, and results that found nobody."""

    async def receive(self, *, eager):
        self.asked += 1
        if self.away:
            raise LinkDown("connection refused")
        if self.receives:
            return self.receives.popleft()
        await trio.sleep(self.rhythm.receive)
        return Batch()

    async def deliver(self, parcel):
        if self.away:
            self.asked += 1
            return Reply(Verdict.LATER, None, "connection refused")
        return await super().deliver(parcel)


def held():
    """Objects, open descriptors and the most memory so far, in KiB."""
    gc.collect()
    return (
        len(gc.get_objects()),
        len(list(Path("/proc/self/fd").iterdir())),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )


@pytest.fixture
def quick_clock():
    """Days in seconds."""
    return MockClock(autojump_threshold=0)


async def live(tmp_path, link, body, monkeypatch):
    """An agent over a spool of its own while the body runs."""
    monkeypatch.setattr("agent.maintenance.EVERY_SECONDS", 900.0)  # a sweep is real work: 100 a day are enough
    config = Config.from_environ(
        {
            "KUBENTLY_API_URL": "http://localhost:1",
            "CLUSTER_ID": "c",
            "KUBENTLY_TOKEN": "t",
            "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db"),
            "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
        }
    )
    async with open_spool(config.spool_path, Limits(32 << 20, output_bytes=1 << 20), inline=True) as spool:
        kubectl: Any = FakeKubectl()
        agent = Agent(config, kubectl, PolicyFile(None), spool, link)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.run)
            await body(spool, agent)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("name", RHYTHMS)
async def test_hours_and_days_leave_everything_as_it_was(tmp_path, monkeypatch, name, away, quick_clock):
    link = Idle(name, away=away)
    rhythm = link.rhythm

    async def day(spool, agent):
        link.receives.append(Batch([Command("a", ("get", "pods"))]))
        await spool.accept([Command("b", ("get", "pods"))])
        await trio.sleep(rhythm.settled)
        before, size = held(), (await spool.counts()).size_bytes
        asked = link.asked
        await trio.sleep(rhythm.looked_at)
        after, counts = held(), await spool.counts()
        assert after[0] < before[0] * 1.01 + 200, "objects"
        assert after[1] == before[1], "descriptors"
        assert after[2] < before[2] + 2048, "memory"
        swell = 256 * 1024 if name == "poll" else 1024 * 1024  # the log of all attempts between two sweeps
        assert counts.size_bytes < size + swell, "the file"
        assert counts.pending == (1 if away else 0)
        asked = link.asked - asked
        usual = rhythm.looked_at / (rhythm.pause / 2 if away else rhythm.receive) * (rhythm.pictures if away else 1)
        assert usual / 10 < asked < usual * 2, "not silent, and no hammering"
        if away:
            link.away = False
            await until(lambda: len(link.delivered) == 2)

    await live(tmp_path, link, day, monkeypatch)


@pytest.mark.parametrize("name", RHYTHMS)
async def test_hours_that_are_slept_through_are_no_storm(tmp_path, monkeypatch, name, quick_clock):
    """A suspended machine: every timer is due at once when it wakes."""
    link = Idle(name)

    async def sleep(spool, agent):
        await trio.sleep(300)
        asked = link.asked
        quick_clock.jump(6 * 3600)
        link.receives.append(Batch([Command("a", ("get", "pods"))]))
        await until(lambda: link.delivered)
        assert link.asked - asked <= 4
        assert min(agent.metrics.alive_until.values()) > trio.current_time()

    await live(tmp_path, link, sleep, monkeypatch)


@pytest.mark.parametrize("link", RHYTHMS)
async def test_a_process_that_was_stopped_goes_on(tmp_path, link):
    async with fake_api([link], again_seconds=0.5) as api:
        folder = tmp_path / "spool"
        folder.mkdir()
        agent = ChaosAgent(api, folder, aside=tmp_path, KUBENTLY_LINK=link)
        await agent.start()
        try:
            with trio.fail_after(60):
                await agent.until_up()
                nap = api.queue("nap-0.5-a", command_id="a", expected=prints("nap-0.5-a"))
                await until(lambda: agent.mark() > 0)
                agent.process.send_signal(signal.SIGSTOP)
                await trio.sleep(1.5)
                say = api.queue("say-0-b", command_id="b", expected=prints("say-0-b"))
                agent.process.send_signal(signal.SIGCONT)
                await nap.answered.wait()
                await say.answered.wait()
                assert nap.expected is not None
                assert nap.expected(nap.results[0])
                assert await agent.stop() == 0
        finally:
            await agent.end()
