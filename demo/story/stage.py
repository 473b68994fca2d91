"""What the story plays on: the API, the cluster, the agent's process and its spool, and waiting with a limit."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from demo.api import ReferenceApi
from demo.cluster.api import SampleCluster
from demo.record import Answer
from demo.story.ledger import Entry, read_ledger
from demo.story.process import AgentProcess
from demo.story.questions import Question
from demo.story.screen import Screen
from demo.story.tally import Tally, count

_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 60.0


class DemoFailed(Exception):  # noqa: N818  # reads as what it says
    """Something that had to happen didn't. The sentence says what."""


@dataclass
class Stage:
    """Everything an act needs."""

    screen: Screen
    api: ReferenceApi
    cluster: SampleCluster | None
    agent: AgentProcess
    spool: Path
    interrupted: set[str] = field(default_factory=set)
    expected_down: bool = False
    """The agent isn't running because the story wants it so."""

    def ledger(self) -> dict[str, Entry]:
        """What the spool says of all commands asked."""
        return read_ledger(self.spool, [asked.id for asked in self.api.record])

    def tally(self) -> Tally:
        """How things stand now."""
        return count(self.api.record, self.ledger(), trio.current_time())

    async def answer(self, question: Question) -> Answer:
        """Ask and wait."""
        command_id = await self.api.ask(question.args, timeout=10)
        await self.until(self.api.record[command_id].answered.is_set, f"an answer to {question.words}")
        return await self.api.result(command_id)

    async def ask_all(self, questions: Iterable[Question]) -> list[str]:
        """Ask without waiting; the commands' ids."""
        return [await self.api.ask(question.args, timeout=20) for question in questions]

    async def listening(self) -> None:
        """Until a command can be sent: a poll finds it whenever it comes, a stream must be there."""
        if "stream" in self.api.links:
            await self.until(lambda: bool(self.api.listeners), "the agent's stream")

    async def until(self, condition: Callable[[], bool], what: str, every: float = _LOOK_SECONDS) -> None:
        """Wait for something. Raises DemoFailed when it doesn't come, or the agent ends meanwhile."""
        with trio.move_on_after(_PATIENCE_SECONDS):
            while not condition():
                if not self.expected_down and self.agent.exit_code is not None:
                    raise DemoFailed(f"the agent ended with exit code {self.agent.exit_code}")
                await trio.sleep(every)
            return
        raise DemoFailed(f"waited {_PATIENCE_SECONDS:.0f} s for {what}, and it didn't come")

    async def watching(self, act: Callable[[], Awaitable[None]], words: str) -> None:
        """Run a part of an act with the live line below it, and leave the line's last state behind."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._live, words)
            await act()
            nursery.cancel_scope.cancel()
        self.screen.settle(self._line(words))

    async def _live(self, words: str) -> None:
        while True:
            self.screen.live(self._line(words))
            await trio.sleep(_LOOK_SECONDS)

    def _line(self, words: str) -> str:
        return f"{self.tally()}   ({words})"
