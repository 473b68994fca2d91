"""Stand-ins for a task's neighbours, where the test is about the task alone."""

from collections import deque
from pathlib import Path
from typing import Any

import trio

from agent.link import Link, Reply, Verdict
from agent.model import Outcome, Result, json_bytes


class FakeReadyResult:
    """A result on its way, held in memory."""

    def __init__(
        self,
        result: Result,
        *,
        stdout=(),
        stderr=(),
        command_id="c1",
        correlation_id=None,
        session_id=None,
        executed_at: float | None = 1_700_000_000.0,
    ):
        self.command_id = command_id
        self.result = result
        self.correlation_id = correlation_id
        self.session_id = session_id
        self.executed_at = executed_at
        self._texts = {"stdout": stdout, "stderr": stderr}
        self.read = 0

    def json_bytes(self, stream):
        return sum(json_bytes(text.encode()) for text in self._texts[stream])

    async def pieces(self, stream):
        for text in self._texts[stream]:
            self.read += 1
            yield text.encode()


class FakeLink(Link):
    """An API that answers as the test has planned, and after that keeps polls waiting and stores results.

    What is planned is a value to return, an error to raise, or an async function to call.
    """

    journal = 4
    pause_seconds = 60.0

    def __init__(self, *, pulls=True, burst=10):
        self.pulls, self.burst = pulls, burst
        self.receives: deque[Any] = deque()
        self.replies: deque[Any] = deque()
        self.answers: deque[Any] = deque()
        """To `recognise`."""
        self.recognised = 0
        self.eager = []
        """What each receive was asked for."""
        self.delivered = []
        """Command id, result and output of each delivery that was tried."""
        self.closed = False

    async def receive(self, *, eager):
        self.eager.append(eager)
        if not self.receives:
            await trio.sleep_forever()
        return await _do(self.receives.popleft())

    async def recognise(self):
        self.recognised += 1
        return await _do(self.answers.popleft()) if self.answers else True

    async def deliver(self, parcel):
        texts = {
            stream: b"".join([text async for text in parcel.pieces(stream)]).decode() for stream in ("stdout", "stderr")
        }
        self.delivered.append((parcel.command_id, parcel.result, texts))
        return await _do(self.replies.popleft()) if self.replies else Reply(Verdict.STORED, 200)

    async def aclose(self):
        self.closed = True


async def _do(planned):
    await trio.lowlevel.checkpoint()
    if isinstance(planned, BaseException):
        raise planned
    return await planned() if callable(planned) else planned


DONE = Result(Outcome.SUCCEEDED, 0)


class FakeKubectl:
    """Prints and ends as the test has planned for the last argument; otherwise at once, without a word."""

    def __init__(self):
        self.plans = {}
        """By last argument: an async function of the sink that returns a Result, a Result, or an error."""
        self.calls = []
        """The arguments, the time limit and the most bytes of each run."""
        self.path = Path("/fake/kubectl")
        self.trouble = None
        self.children = ()
        self.killed = False

    async def run(self, argv, *, timeout, max_bytes, sink, grace=2.0):
        self.calls.append((tuple(argv), timeout, max_bytes))
        planned = self.plans.get(argv[-1], DONE)
        await trio.lowlevel.checkpoint()
        if isinstance(planned, BaseException):
            raise planned
        return await planned(sink) if callable(planned) else planned

    async def version(self):
        return "v1.37.1"

    def kill(self):
        self.killed = True


class Events:
    """What the agent has logged: `events["command accepted"]` are the fields of each such line."""

    def __init__(self):
        self.lines = []

    def take(self, level, task, event, fields):
        self.lines.append((event, fields))

    def __getitem__(self, event):
        return [fields for said, fields in self.lines if said == event]


async def until(condition):
    """Look again and again: the condition may be anybody's doing."""
    while not condition():
        await trio.sleep(0.1)


async def run_until(condition, task):
    """Run a task that doesn't end by itself."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        await until(condition)
        nursery.cancel_scope.cancel()
