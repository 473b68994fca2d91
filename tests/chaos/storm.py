"""One storm: what is asked of the agent, and what is done to it meanwhile."""

import contextlib
import random
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import trio

from tests.chaos.disk import Disk
from tests.chaos.record import Verdict, judge
from tests.chaos.standin import ChaosAgent, prints
from tests.kit import faults
from tests.kit.api import FakeApi
from tests.kit.faults import Fault

FAULTY = 0.08
"""The part of all requests that meets a fault."""

FAULTY_STREAMS = 0.3
"""The part of all streams that do: an agent opens one where another polls a hundred times."""

MOST_WAITING = 30
"""So many commands may wait at the API before more are asked for: a slow machine gets fewer."""

START_SECONDS = 5.0
"""How long to wait for the agent to be up before it is struck, most of the time."""

SETTLE_SECONDS = 150.0
"""How long the agent may take afterwards, with everything well again, to deliver what is left."""


class Storm:
    """One storm. `pace` divides all pauses between kills, stops and outages."""

    def __init__(self, api: FakeApi, agent: ChaosAgent, disk: Disk, seed: int, pace: float = 1.0) -> None:
        self.api = api
        self.agent = agent
        self.disk = disk
        self.kills = 0
        self.stops = 0
        self.other = 0
        self.streams = agent.environ.get("KUBENTLY_LINK") == "stream"
        self.exits: list[int] = []
        """Codes with which the agent ended by itself."""
        self._pace = pace
        self._seed = seed
        self._number = 0
        self._expected_exit = False
        self._drawing = self._chance("requests")

    def _chance(self, purpose: str) -> random.Random:
        return random.Random(f"{self._seed} {purpose}")

    @property
    def faults(self) -> int:
        """All that was done to the agent, but for kills."""
        return self.api.faults + self.stops + self.other

    async def blow(self, seconds: float) -> None:
        """Let it rage for so long, or for longer, until there was a kill."""
        self.api.chance = self._draw
        await self.agent.start()
        async with trio.open_nursery() as nursery:
            tasks = [self._ask, self._strike, self._outages, self._fill_disk, self._revive]
            for task in (*tasks, self._break_streams) if self.streams else tasks:
                nursery.start_soon(task, self._chance(task.__name__))
            await trio.sleep(seconds)
            while not self.kills:
                await trio.sleep(0.1)
            nursery.cancel_scope.cancel()

    def _draw(self, route: str) -> Fault | None:
        chance = self._drawing
        opens = self.streams and route == "commands"
        if chance.random() >= (FAULTY_STREAMS if opens else FAULTY):
            return None
        choices = list(faults.ANYWHERE.values())
        if route == "commands":
            choices += (faults.TO_STREAMS if self.streams else faults.TO_COMMANDS).values()
        elif route == "results":
            rejecting = faults.REJECTING["stream" if self.streams else "poll"]
            choices += [*faults.TO_RESULTS.values(), *rejecting.values()]
        return chance.choice(choices)

    async def _pause(self, chance: random.Random, low: float, high: float) -> None:
        await trio.sleep(chance.uniform(low, high) / self._pace)

    # What the API asks for.

    async def _ask(self, chance: random.Random) -> None:
        while True:
            await self.api.until_fewer_wait_than(MOST_WAITING)
            for _ in range(chance.choice((1, 1, 2, 3, 5))):
                self._ask_one(chance)
            what = chance.random()
            if what < 0.02:
                for _ in range(chance.randint(20, 60)):
                    self._ask_one(chance, ("say-0", "say-1"))
            elif what < 0.10:  # ids that the agent has seen, at the same time and long after
                known = self.api.known[-200:]
                self.api.hand_out(*chance.sample(known, min(5, len(known))) * 2)
            elif what < 0.14:
                self.api.shuffle(chance)
            await self._pause(chance, 0.1, 0.7)

    def _ask_one(self, chance: random.Random, kinds: tuple[str, ...] | None = None) -> None:
        nap = f"nap-{chance.uniform(0.1, 1.5):.2f}"
        usual = ("say-0", "nap-0.05", "nap-0.3", nap, "pour-2000", "pour-300000", "fail-0")
        kind = chance.choice(kinds or usual)
        self._number += 1
        command_id = f"c{self._number:06}"
        if chance.random() < 0.05:
            wrong: Any = chance.choice((["delete", "pod", "x"], ["get", "secrets"], "get pods", 7, ["get", 5]))
            self.api.queue(wrong, command_id=command_id, expected=_refused)
        else:
            what = f"{kind}-{command_id}"
            self.api.queue(what, command_id=command_id, expected=prints(what))

    # What happens to the agent.

    async def _strike(self, chance: random.Random) -> None:
        while True:
            if chance.random() < 0.8:  # or it is struck while it starts
                with trio.move_on_after(START_SECONDS):
                    await self.agent.until_up()
            await self._pause(chance, 0.05, 1.1)
            how = chance.random()
            if how < 0.12:
                await self._suspend(chance.uniform(0.1, 2.0))
            elif how < 0.20:
                await self._restart()
            else:
                await self._kill()

    async def _kill(self) -> None:
        with self._expecting():
            self.kills += 1
            await self.agent.kill()
            await self.agent.start()

    async def _suspend(self, seconds: float) -> None:
        self.stops += 1
        self.agent.process.send_signal(signal.SIGSTOP)
        try:
            await trio.sleep(seconds)
        finally:
            self.agent.process.send_signal(signal.SIGCONT)

    async def _restart(self) -> None:
        with self._expecting():
            self.stops += 1
            self.agent.process.terminate()
            with trio.move_on_after(8) as ended:
                await self.agent.process.wait()
            if ended.cancelled_caught:
                self.exits.append(-1)
                await self.agent.kill()
            await self.agent.start()

    @contextlib.contextmanager
    def _expecting(self) -> Iterator[None]:
        self._expected_exit = True
        try:
            yield
        finally:
            self._expected_exit = False

    async def _revive(self, _: random.Random) -> None:
        """What Kubernetes does with a container that ends by itself."""
        while True:
            process = self.agent.process
            if process.poll() is not None and not self._expected_exit:
                self.exits.append(process.returncode or 0)
                await self.agent.start()
            await trio.sleep(0.1)

    # What happens around it.

    async def _outages(self, chance: random.Random) -> None:
        while True:
            await self._pause(chance, 2, 12)
            self.other += 1
            chance.choice((self.api.refuse, self.api.refuse, self.api.stall))()
            try:
                await self._pause(chance, 0.2, 4)
            finally:
                self.api.listen()

    async def _fill_disk(self, chance: random.Random) -> None:
        while True:
            await self._pause(chance, 4, 20)
            self.other += 1
            process = self.agent.process
            pid = process.pid
            self.disk.fill(pid)
            try:
                await self._pause(chance, 0.2, 4)
            finally:
                self.disk.empty(pid)

    async def _break_streams(self, chance: random.Random) -> None:
        while True:
            await self._pause(chance, 0.5, 5)
            self.other += 1
            chance.choice((self.api.drop_streams, self.api.mute_streams))()

    # What is left of it.

    async def settle(self) -> None:
        """Everything is well again. Return when nothing is open any more, or when it has taken too long."""
        self.api.chance = lambda route: None
        process = self.agent.process
        self.disk.empty(process.pid)
        with trio.move_on_after(SETTLE_SECONDS):
            while any(not known.rejected for known in self.api.open):  # either may change it
                await self._stay_up()
            what = "say-0-fresh"
            fresh = self.api.queue(what, command_id="fresh", expected=prints(what))
            while not fresh.answered.is_set():
                await self._stay_up()
        self.agent.process.terminate()
        with trio.move_on_after(15):
            await self.agent.process.wait()
        if self.agent.process.poll() is None:
            await self.agent.kill()

    async def _stay_up(self) -> None:
        """One that the storm had just told to stop may end only now."""
        process = self.agent.process
        if process.poll() is not None:
            await self.agent.start()
        await trio.sleep(0.1)

    def verdict(self) -> Verdict:
        """Compare both sides."""
        with closing(sqlite3.connect(f"file:{self.agent.spool}?mode=ro", uri=True)) as db:
            rejected = [row[0] for row in db.execute("select command_id from commands where state = 'rejected'")]
        return judge(self.api, rejected=rejected, accepted=self.agent.accepted(), runs=self.agent.starts())


def _refused(result: dict[str, object]) -> bool:
    return result["success"] is False and bool(result["error"])
