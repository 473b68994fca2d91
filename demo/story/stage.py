"""What the story plays on, and the playground: the API, the cluster, the agent's process and its spool."""

import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
from starlette.routing import BaseRoute

from demo.api import ReferenceApi, reference_api
from demo.cluster.api import SampleCluster, sample_cluster
from demo.record import LinkName
from demo.story.ledger import Entry, read_ledger
from demo.story.process import AgentProcess
from demo.story.proof import Tally, count
from demo.story.screen import Screen

CLUSTER_ID = "demo"
DONE, FAILED, INTERRUPTED = 0, 1, 130
_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 60.0


class DemoFailed(Exception):  # noqa: N818  # reads as what it says
    """Something that had to happen didn't. The sentence says what."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    kubectl: Path
    link: LinkName
    kubeconfig: Path | None = None
    """A real cluster; None plays in the sample cluster."""
    folder: Path | None = None
    """Where the spool is to be; None makes a folder."""
    seed: int | None = None
    pace: float = 1.0
    """Below 1 it is told faster than a person can follow."""


@dataclass
class Stage:
    """Everything that is up."""

    screen: Screen
    api: ReferenceApi
    cluster: SampleCluster | None
    agent: AgentProcess
    folder: Path
    kubeconfig: Path
    at_kill: dict[str, Entry] = field(default_factory=dict)
    """What the spool said when the agent had been killed."""
    expected_down: bool = False
    """The agent isn't running because the story wants it so."""

    @property
    def spool(self) -> Path:
        """The agent's file."""
        return self.folder / "spool.db"

    def ledger(self) -> dict[str, Entry]:
        """What the spool says of all commands."""
        return read_ledger(self.spool)

    def tally(self) -> Tally:
        """How things stand now."""
        return count(self.api.record, self.ledger(), trio.current_time())

    async def listening(self) -> None:
        """Until a command can be sent: a poll finds it whenever it comes, a stream must be there."""
        if "stream" in self.api.links:
            await self.until(lambda: bool(self.api.listeners), "the agent's stream")

    async def ended(self) -> None:
        """Until the agent ends, which it shouldn't. Raises DemoFailed."""
        while self.agent.exit_code is None:  # noqa: ASYNC110  # a process sets no event
            await trio.sleep(_LOOK_SECONDS)
        raise DemoFailed(f"the agent ended with exit code {self.agent.exit_code}")

    async def until(self, condition: Callable[[], bool], what: str, every: float = _LOOK_SECONDS) -> None:
        """Wait for something. Raises DemoFailed when it doesn't come, or the agent ends meanwhile."""
        with trio.move_on_after(_PATIENCE_SECONDS):
            while not condition():
                if not self.expected_down and self.agent.exit_code is not None:
                    raise DemoFailed(f"the agent ended with exit code {self.agent.exit_code}")
                await trio.sleep(every)
            return
        raise DemoFailed(f"waited {_PATIENCE_SECONDS:.0f} s for {what}, and it didn't come")

    async def watched(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something, with the live line meanwhile, and leave the line's last state behind."""

        def look() -> bool:
            self.screen.live(str(self.tally()))
            return condition()

        await self.until(look, what)
        self.screen.settle(str(self.tally()))


async def run(
    options: Options, screen: Screen, play: Callable[[Stage], Awaitable[bool]], routes: Sequence[BaseRoute] = ()
) -> int:
    """Set the stage, play on it, and leave nothing running; returns the exit code. Ctrl-C ends it in order."""
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kubently-"))
    code = INTERRUPTED
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_on_signal, nursery.cancel_scope)
        async with _stage(options, folder, screen, routes) as stage:
            try:
                code = DONE if await play(stage) else FAILED
            except DemoFailed as error:
                code = FAILED
                screen.settle(f"The demo can't go on: {error}. The end of the agent's log, {stage.agent.log}:")
                screen.answer(stage.agent.last_lines(), "dim")
        nursery.cancel_scope.cancel()
    if code == INTERRUPTED:
        screen.settle("Stopped. The spool is left in")
        screen.line(f"   {folder}")
    return code


async def _end_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


@asynccontextmanager
async def _stage(options: Options, folder: Path, screen: Screen, routes: Sequence[BaseRoute]) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(
            reference_api(token=secrets.token_urlsafe(24), cluster_id=CLUSTER_ID, links=[options.link], routes=routes)
        )
        cluster, kubeconfig = None, options.kubeconfig
        if kubeconfig is None:
            cluster = await stack.enter_async_context(sample_cluster(token=secrets.token_urlsafe(24)))
            kubeconfig = folder / "kubeconfig"
            cluster.write_kubeconfig(kubeconfig)
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(api.token)
        agent = AgentProcess(
            {
                "KUBENTLY_API_URL": api.url,
                "CLUSTER_ID": CLUSTER_ID,
                "KUBENTLY_TOKEN_FILE": str(token),
                "KUBENTLY_LINK": options.link,
                "KUBENTLY_SPOOL_PATH": str(folder / "spool.db"),
                "KUBENTLY_KUBECTL": str(options.kubectl),
                "KUBENTLY_KUBECONFIG": str(kubeconfig),
                "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
                "LOG_FORMAT": "text",
            },
            folder / "agent.log",
        )
        stack.push_async_callback(agent.end)
        yield Stage(screen, api, cluster, agent, folder, kubeconfig)
