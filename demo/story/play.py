"""Sets the stage, plays the story, and leaves nothing running."""

import random
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import trio

from demo.api import reference_api
from demo.cluster.api import sample_cluster
from demo.story.process import AgentProcess
from demo.story.screen import Screen, shown_path
from demo.story.stage import DemoFailed, Stage
from demo.story.story import Story

CLUSTER_ID = "demo"
DONE, FAILED, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    kubectl: Path
    link: Literal["poll", "stream"]
    kubeconfig: Path | None = None
    """A real cluster; None plays in the sample cluster."""
    folder: Path | None = None
    """Where the spool is to be; None makes a folder."""
    seed: int | None = None
    pace: float = 1.0
    """Below 1 it is told faster than a person can follow."""


async def play(options: Options, screen: Screen) -> int:
    """The demo, once; returns the exit code: 0 only if the proof holds."""
    seed = random.SystemRandom().randrange(1000) if options.seed is None else options.seed
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kubently-demo-"))
    screen.title("kubently-agent demo", f"{options.link} link · seed {seed}")
    code = INTERRUPTED
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_on_signal, nursery.cancel_scope)
        async with _stage(options, folder, screen) as stage:
            story = Story(stage, link=options.link, seed=seed, pace=options.pace)
            code = await _told(story, stage)
        nursery.cancel_scope.cancel()
    if code == INTERRUPTED:
        screen.settle(f"Stopped. The spool is left in {folder}.")
    return code


async def _told(story: Story, stage: Stage) -> int:
    try:
        return DONE if await story.tell() else FAILED
    except DemoFailed as error:
        stage.screen.settle(f"The demo can't go on: {error}.")
        stage.screen.say(f"The agent's last words ({stage.agent.log}):")
        stage.screen.answer(stage.agent.last_words(), "dim")
        return FAILED


async def _end_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


@asynccontextmanager
async def _stage(options: Options, folder: Path, screen: Screen) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        token = secrets.token_urlsafe(24)
        api = await stack.enter_async_context(reference_api(token=token, cluster_id=CLUSTER_ID, links=[options.link]))
        cluster = None
        kubeconfig = options.kubeconfig
        if kubeconfig is None:
            cluster = await stack.enter_async_context(sample_cluster(token=secrets.token_urlsafe(24)))
            kubeconfig = folder / "kubeconfig"
            cluster.write_kubeconfig(kubeconfig)
        token_file = folder / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(token)
        spool = folder / "spool.db"
        agent = AgentProcess(
            {
                "KUBENTLY_API_URL": api.url,
                "CLUSTER_ID": CLUSTER_ID,
                "KUBENTLY_TOKEN_FILE": str(token_file),
                "KUBENTLY_LINK": options.link,
                "KUBENTLY_SPOOL_PATH": str(spool),
                "KUBENTLY_KUBECTL": str(options.kubectl),
                "KUBENTLY_KUBECONFIG": str(kubeconfig),
                "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
                "LOG_FORMAT": "text",
            },
            folder / "agent.log",
        )
        stack.push_async_callback(agent.end)
        screen.line()
        screen.say("An API asks, the agent in a cluster answers, then both of them fail. About 30 seconds.")
        screen.line()
        where = f"the sample cluster, {cluster.url.rpartition('/')[0]}" if cluster else f"yours, by {kubeconfig}"
        screen.facts(
            [
                ("central API", f"a reference API in this process, {api.url}"),
                ("cluster", where),
                ("agent", f"a process of its own, with the real kubectl ({shown_path(options.kubectl)})"),
                ("its spool", str(spool)),
            ]
        )
        yield Stage(screen, api, cluster, agent, spool)
