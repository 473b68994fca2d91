"""The spool against a model in plain Python: random operations, crashes between and inside them, restarts, no room.

A crash is a copy of the files as they are at some statement of an operation, cut somewhere in what the log has gained
since the operation began. What was acknowledged before must be there; the operation itself has happened or it hasn't.
"""

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.errors import SpoolFull
from agent.model import Outcome, Result, Stream
from agent.spool import Claim, Delivery, Limits, Spool, open_spool
from agent.spool.clock import follow
from agent.spool.space import beside, file_bytes
from agent.spool.writer import Need
from tests.kit import THOROUGH
from tests.tasks.spool.kit import MB, Hands, command, take, text

T = TypeVar("T")
LIMITS = Limits(3 * MB, journal=10_000, output_bytes=60_000, retention_seconds=1000, rerun_seconds=300)
NAMES = st.integers(0, 20).map(lambda n: f"c{n}")
SIZES = st.sampled_from([0, 1, 30, 4000, 30_000, 60_000])
STREAMS: st.SearchStrategy[Stream] = st.sampled_from(["stdout", "stderr"])


class Loop:
    """An event loop in a thread of its own, for a test that isn't async."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,))
        self._thread.start()
        self._ready.wait()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._done = trio.Event()
        self._ready.set()
        await self._done.wait()

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        return trio.from_thread.run(call, trio_token=self._token)

    def close(self) -> None:
        trio.from_thread.run_sync(self._done.set, trio_token=self._token)
        self._thread.join()


def at_once(call: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    """What is handed in and not waited for, as an operation."""

    async def operation() -> T:
        return call()

    return operation


@dataclass(frozen=True)
class Known:
    """What must be true of one command."""

    state: str = "accepted"
    runs: int = 0
    began: float = 0
    output: dict[Stream, str] = field(default_factory=dict)
    result: Result | None = None
    settled: float = 0
    postponed: bool = False


Model = dict[str, Known]


class SpoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
        self.path = self.folder / "0" / "spool.db"
        self.lives = 0
        self.hands = Hands()
        self.loop = Loop()
        self.model: Model = {}
        self.taken: dict[str, Delivery] = {}
        self.texts = 0
        self.crash: tuple[int, int] | None = None
        self.open()

    # Living and dying.

    def open(self) -> None:
        self.stack = AsyncExitStack()
        clock = self.hands.clock
        self.spool: Spool = self.loop.run(
            lambda: self.stack.enter_async_context(open_spool(self.path, LIMITS, clock=clock, inline=True))
        )
        assert self.spool.recovery.damage is None
        self.crash = None  # one that was planned for the last life would fall between two operations of this one
        self.copy: Path | None = None
        self.statements = 0
        self.log_before = 0
        self.loop.run(lambda: self.spool._writer.run(Need.OUTSIDE, lambda db: db.set_trace_callback(self.watch)))

    def watch(self, _: str) -> None:
        """Called by SQLite, in the writer's thread, before each statement."""
        self.statements += 1
        if self.crash is not None and self.statements == self.crash[0]:
            self.copy = self.copy_files(self.crash[1])

    def copy_files(self, cut_percent: int) -> Path:
        self.lives += 1
        to = self.folder / str(self.lives) / self.path.name
        to.parent.mkdir()
        for suffix in ("", "-wal", ".lock"):
            if beside(self.path, suffix).exists():
                shutil.copyfile(beside(self.path, suffix), beside(to, suffix))
        gained = file_bytes(beside(to, "-wal")) - self.log_before
        if gained > 0:
            os.truncate(beside(to, "-wal"), self.log_before + gained * cut_percent // 100)
        return to

    def do(self, call: Callable[[], Awaitable[T]], after: Callable[[T], Model]) -> T | None:
        """Carry out an operation and note in the model what it did. None if there was no room, or a crash fell in."""
        self.statements = 0
        self.log_before = file_bytes(beside(self.path, "-wal"))
        try:
            value = self.loop.run(call)
        except SpoolFull:
            self.crash = None
            if self.copy is not None:
                self.take_up(self.copy, [self.model])
            return None
        self.crash = None
        changed = self.model | after(value)
        if self.copy is not None:
            self.take_up(self.copy, [self.model, changed])
            return None
        self.model = changed
        return value

    def take_up(self, copy: Path, possible: Collection[Model]) -> None:
        """The agent is dead; its files are the copy. They must agree with one of the models."""
        self.loop.run(self.stack.aclose)
        shutil.rmtree(self.path.parent)
        self.path = copy
        found = self.read()
        agreeing = [model for model in possible if self.agrees(found, model)]
        assert agreeing, (found, possible)
        self.model = agreeing[0]
        self.born_again()

    def read(self) -> dict[str, tuple[str, int, bool, dict[str, str]]]:
        """What is on disk: state, runs, whether the output is gone, and the output."""
        found = {}
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "select seq, c.command_id, state, runs, output from commands c left join results using (seq)"
            ).fetchall()
            for seq, name, state, runs, output in rows:
                texts: dict[str, str] = {}
                for stream, piece in db.execute(
                    "select stream, text from pieces where seq = ? order by stream, part", (seq,)
                ):
                    texts[stream] = texts.get(stream, "") + piece
                found[name] = (state, runs, output == "gone", texts)
        return found

    def agrees(self, found: dict[str, tuple[str, int, bool, dict[str, str]]], model: Model) -> bool:
        for name in found.keys() | model.keys():
            known = model.get(name)
            if name not in found:
                if known is None or self.may_be_forgotten(known):
                    continue
                return False
            if known is None:
                return False
            state, runs, gone, texts = found[name]
            expected = {stream: output for stream, output in known.output.items() if output}
            if (state, runs) != (known.state, known.runs) or (not gone and texts != expected):
                return False
            if gone and state not in {"delivered", "rejected"}:
                return False
        return True

    def born_again(self) -> None:
        """What an agent makes of the files it finds."""
        self.taken.clear()
        for name, known in self.model.items():
            if known.state in {"accepted", "running"}:
                self.model[name] = self.recovered(known)
            else:
                self.model[name] = replace(known, postponed=False)
        self.open()

    def recovered(self, known: Known) -> Known:
        if (known.state == "running" and known.runs >= 2) or self.age(known.began) >= 300:
            return replace(known, state="spooled", output={}, result=Result(Outcome.INTERRUPTED))
        return replace(known, state="accepted", output={})

    def stamp(self) -> float:
        return self.hands.wall

    def age(self, stamp: float) -> float:
        return self.hands.wall - stamp

    def may_be_forgotten(self, known: Known) -> bool:
        return known.state in {"delivered", "rejected"} and self.age(known.settled) > 1000

    def of(self, state: str) -> list[str]:
        return [name for name, known in self.model.items() if known.state == state]

    # Operations.

    @rule(at=st.integers(1, 14), cut=st.integers(0, 100))
    def crash_in_the_next_operation(self, at: int, cut: int) -> None:
        self.crash = (at, cut)

    @rule()
    def crash_between_operations(self) -> None:
        self.log_before = file_bytes(beside(self.path, "-wal"))
        self.take_up(self.copy_files(100), [self.model])

    @rule()
    def restart(self) -> None:
        self.loop.run(self.stack.aclose)
        self.crash = None
        self.born_again()

    @rule(seconds=st.sampled_from([1, 100, 290, 310, 1001]))
    def time_passes(self, seconds: int) -> None:
        self.hands.pass_(seconds)

    @rule(seconds=st.sampled_from([-5000, -100, 100, 5000]))
    def the_clock_steps(self, seconds: int) -> None:
        self.hands.wall += seconds
        self.crash = None
        self.loop.run(lambda: self.spool._writer.run(Need.STATE, follow, self.spool._clock))
        self.move(lambda stamp: stamp + seconds)

    def move(self, change: Callable[[float], float]) -> None:
        for name, known in self.model.items():
            self.model[name] = replace(known, began=change(known.began), settled=change(known.settled))

    @rule(seconds=st.sampled_from([20, 400]))
    def the_machine_reboots(self, seconds: int) -> None:
        self.hands.boot, self.hands.uptime = f"boot-{self.lives}-{self.texts}", float(seconds)
        self.hands.wall += seconds
        self.texts += 1
        self.move(lambda stamp: min(stamp, self.hands.wall - seconds))
        self.crash_between_operations()

    @rule(names=st.lists(NAMES, min_size=1, max_size=6))
    def accept(self, names: list[str]) -> None:
        def after(_: object) -> Model:
            changed: Model = {}
            for name in names:
                known = self.model.get(name)
                if known is None:
                    changed[name] = Known(began=self.stamp())
                else:
                    changed[name] = self.asked_again(name, known)
            return changed

        gone = {name for name in names if name in self.model and self.output_is_gone(name)}
        intake = self.do(
            lambda: self.spool.accept([command(name) for name in names]), lambda value: self.without(after(value), gone)
        )
        if intake is not None:
            assert set(intake.new).isdisjoint(intake.known) or len(names) > len(set(names))
            assert len(intake.new) + len(intake.known) == len(names)

    def output_is_gone(self, name: str) -> bool:
        return self.read()[name][2]

    def without(self, changed: Model, gone: Collection[str]) -> Model:
        return {name: known for name, known in changed.items() if name not in gone}

    def asked_again(self, name: str, known: Known) -> Known:
        if known.state in {"delivered", "rejected"}:
            return replace(known, state="spooled", postponed=False)
        return replace(known, postponed=False)

    @rule(name=NAMES)
    def answer(self, name: str) -> None:
        busy = Result(Outcome.BUSY, error=f"busy {name}")
        known = self.model.get(name)
        if known is None:
            new = Known("spooled", began=self.stamp(), result=busy)
        elif self.output_is_gone(name):
            new = known
        else:
            new = self.asked_again(name, known)
        self.do(lambda: self.spool.accept([command(name)], busy), lambda _: {name: new})

    @rule()
    def claim(self) -> None:
        waiting = self.of("accepted")

        def after(claim: Claim | None) -> Model:
            if claim is None:
                return {}
            name = claim.command.id
            return {name: replace(self.model[name], state="running", runs=self.model[name].runs + 1)}

        claim = self.do(at_once(self.spool.claim), after)
        if claim is not None:
            assert claim.command == command(claim.command.id)
            assert claim.command.id in waiting

    def some_text(self, size: int) -> str:
        """Never the same twice."""
        self.texts += 1
        return (f"{self.texts}é\n" * (size // 3 + 1))[: size // 2]

    @precondition(lambda self: self.of("running"))
    @rule(data=st.data(), stream=STREAMS, size=SIZES)
    def append(self, data: st.DataObject, stream: Stream, size: int) -> None:
        name = data.draw(st.sampled_from(self.of("running")))
        piece = self.some_text(size)
        known = self.model[name]
        output = known.output | {stream: known.output.get(stream, "") + piece}

        async def append() -> bool:
            await self.spool.append(name, stream, piece)
            run = self.spool._running[name]
            if run.under_way:
                await run.under_way[-1].done.wait()
            return not run.refused

        # A piece that finds no room is never heard of again, nor is what follows it.
        def after(stored: bool) -> Model:
            return {name: replace(known, output=output)} if stored else {}

        self.do(append, after)

    @precondition(lambda self: self.of("running"))
    @rule(data=st.data(), size=st.integers(0, 4000), outcome=st.sampled_from(Outcome))
    def finish(self, data: st.DataObject, size: int, outcome: Outcome) -> None:
        name = data.draw(st.sampled_from(self.of("running")))
        self.end(name, size, outcome)

    def end(self, name: str, size: int, outcome: Outcome) -> None:
        tail = self.some_text(size)
        known = self.model[name]
        output = known.output | {"stderr": known.output.get("stderr", "") + tail}
        result = Result(outcome, self.texts, f"error {self.texts}", 5, self.texts)
        lives = self.lives
        self.do(
            lambda: self.spool.finish(name, result, [("stderr", tail)]),
            lambda _: {name: replace(known, state="spooled", output=output, result=result)},
        )
        # However full: there is room to end what was begun.
        assert self.lives > lives or self.model[name].state == "spooled"

    @rule(limit=st.integers(1, 5))
    def take(self, limit: int) -> None:
        deliveries = self.do(lambda: take(self.spool, limit), lambda _: {})
        for delivery in deliveries or []:
            self.check(delivery)
        if deliveries is not None:
            left = {name for name in self.of("spooled") if not self.model[name].postponed} - self.taken.keys()
            assert len(deliveries) == limit or not left

    def check(self, delivery: Delivery) -> None:
        name = delivery.command_id
        known = self.model[name]
        assert name not in self.taken
        assert known.state == "spooled"
        assert not known.postponed
        assert known.result is not None
        if known.result.outcome is Outcome.INTERRUPTED and known.result.error is None:
            assert delivery.result.outcome is Outcome.INTERRUPTED
        else:
            assert delivery.result == known.result
        for stream in ("stdout", "stderr"):
            expected = known.output.get(stream, "")
            assert self.loop.run(partial(text, delivery, stream)) == expected
        self.taken[name] = delivery

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), how=st.sampled_from(["delivered", "delivered", "rejected", "postponed", "release", "cut"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.taken)))
        seq, known = self.taken.pop(name).seq, self.model[name]
        settled = replace(known, state=how, settled=self.stamp())
        if how == "delivered":
            self.do(at_once(lambda: self.spool.delivered(seq, 200)), lambda _: {name: settled})
        elif how == "rejected":
            self.do(at_once(lambda: self.spool.rejected(seq, 404, "unknown")), lambda _: {name: settled})
        elif how == "postponed":
            self.do(
                at_once(lambda: self.spool.postponed(seq, 1e6, 503, "busy")),
                lambda _: {name: replace(known, postponed=True)},
            )
        elif how == "cut":
            self.do(lambda: self.spool.cut(seq, 1000), lambda _: {name: self.shortened(known)})
        else:
            self.loop.run(lambda: self.released(seq))

    async def released(self, seq: int) -> None:
        self.spool.release(seq)

    def shortened(self, known: Known) -> Known:
        assert known.result is not None
        output = {stream: output.encode()[:1000].decode("utf-8", "ignore") for stream, output in known.output.items()}
        if output == known.output:
            return known
        return replace(known, output=output, result=replace(known.result, truncated=True))

    @rule()
    def sweep(self) -> None:
        old = [name for name, known in self.model.items() if self.may_be_forgotten(known)]
        if self.do(self.spool.sweep, lambda _: {}) is not None:
            for name in old:
                del self.model[name]
        else:
            found = self.read()
            self.model = {name: known for name, known in self.model.items() if name in found}

    @invariant()
    def the_counts_are_right(self) -> None:
        crash, self.crash = self.crash, None
        counts = self.loop.run(self.spool.counts)
        self.crash = crash
        names = ("accepted", "running", "spooled", "delivered", "rejected")
        figures = (counts.accepted, counts.running, counts.pending, counts.delivered, counts.rejected)
        assert figures == tuple(len(self.of(name)) for name in names)
        assert not self.spool._unrecorded
        assert counts.size_bytes <= counts.capacity_bytes

    def teardown(self) -> None:
        try:
            self.crash = None
            self.restart()
            while not all(known.state in {"delivered", "rejected"} for known in self.model.values()):
                self.take(20)
                for name, delivery in list(self.taken.items()):
                    self.loop.run(at_once(partial(self.spool.delivered, delivery.seq, 200)))
                    self.model[name] = replace(self.model[name], state="delivered", settled=self.stamp())
                self.taken.clear()
                self.sweep()
                self.claim()
                for name in self.of("running"):
                    self.end(name, 100, Outcome.SUCCEEDED)
            self.the_counts_are_right()
            assert self.loop.run(lambda: self.spool.accept([command("fresh")])).new == ("fresh",)
        finally:
            self.loop.run(self.stack.aclose)
            self.loop.close()
            shutil.rmtree(self.folder)


TestSpoolModel = SpoolMachine.TestCase
TestSpoolModel.settings = settings(
    max_examples=300 if THOROUGH else 15,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
