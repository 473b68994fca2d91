"""The whole agent inside the test's own process, with real sockets and a real child, and limits of tenths of seconds.

What is shortened is how long the agent waits, never what it does. A process of its own takes half a second to start;
here a hundred faults fit into seconds.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio

from agent.config import Config
from agent.guard import DEFAULT_POLICY
from agent.kubectl import Kubectl
from agent.link import Link, open_link
from agent.policy import PolicyFile
from agent.run import Agent
from agent.spool import Limits, Spool, open_spool
from tests.kit.api import FakeApi
from tests.kit.kubectl import stand_in

SHORT = {
    "agent.circuit.FIRST_SECONDS": 0.02,
    "agent.circuit.LOOK_SECONDS": 0.05,
    "agent.circuit.UNRECOGNISED_SECONDS": 0.2,
    "agent.link.poll.PollLink.pause_seconds": 0.3,
    "agent.link.network.CONNECT_SECONDS": 0.3,
    "agent.link.result.RESULT_SECONDS": 0.3,
    "agent.link.http.WHOLE_SECONDS": 1.0,
    "agent.link.http.CONNECTING_SECONDS": 0.3,
    "agent.link.poll.READ_MARGIN_SECONDS": 0.3,
    "agent.link.poll.STATUS_SECONDS": 0.2,
    "agent.link.poll.STATUS_EVERY_ACTIVE": 0.05,
    "agent.link.poll.STATUS_EVERY_IDLE": 0.05,
    "agent.link.poll.WAIT_ACTIVE": 0,
    "agent.link.poll.WAIT_IDLE": 0,
    "agent.link.poll.SHORTEST_CYCLE_SECONDS": 0.01,
    "agent.link.stream.StreamLink.pause_seconds": 0.3,
    "agent.link.stream.PAUSE_SECONDS": 0.1,
    "agent.link.stream.OPEN_SECONDS": 0.5,
    "agent.link.stream.STEADY_SECONDS": 0.1,
    "agent.link.stream.SILENCE_SECONDS": 0.8,
    "agent.link.stream.FIRST_SECONDS": 0.8,
    "agent.link.stream.TELL_SECONDS": 0.3,
    "agent.maintenance.EVERY_SECONDS": 0.2,
    "demo.sse.PING_SECONDS": 0.2,
}
HEARTBEAT_SECONDS = 0.1


@dataclass
class Inside:
    """An agent at work."""

    agent: Agent
    spool: Spool
    link: Link
    token_file: Path
    runs: Path

    def started(self, command_id: str) -> int:
        """How often the stand-in was started for this command."""
        return sum(line.endswith(f"-{command_id}") for line in self.runs.read_text().split())


@asynccontextmanager
async def agent_inside(
    api: FakeApi, folder: Path, patch: pytest.MonkeyPatch, *, max_bytes: int = 64 << 20, **environ: str
) -> AsyncIterator[Inside]:
    """A running agent for `api`. It is cancelled at the end, as by a task that fails."""
    for name, value in SHORT.items():
        patch.setattr(name, value)
    runs, token, kubectl = folder / "runs", folder / "token", folder / "kubectl-stand-in"
    runs.touch()
    token.write_text(api.token)
    (folder / "kubeconfig").touch()
    stand_in(kubectl, runs=runs)
    config = Config.from_environ(
        {
            "KUBENTLY_API_URL": api.url,
            "CLUSTER_ID": api.cluster_id,
            "KUBENTLY_TOKEN_FILE": str(token),
            "KUBENTLY_SPOOL_PATH": str(folder / "spool.db"),
            "KUBENTLY_SPOOL_MAX_BYTES": str(max_bytes),
            "KUBENTLY_MAX_OUTPUT_BYTES": "1Mi",
            "KUBENTLY_KUBECTL": str(kubectl),
            "KUBENTLY_KUBECONFIG": str(folder / "kubeconfig"),
            "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
            **environ,
        }
    )
    link = open_link(replace(config, heartbeat_seconds=HEARTBEAT_SECONDS), DEFAULT_POLICY.capabilities)
    limits = Limits(max_bytes, journal=config.executors + link.journal, output_bytes=config.max_output_bytes)
    client = await Kubectl.prepare(kubectl=config.kubectl, kubeconfig=config.kubeconfig, home=config.kubectl_home)
    async with (
        aclosing(link),
        open_spool(config.spool_path, limits) as spool,
        trio.open_nursery() as nursery,
    ):
        agent = Agent(config, client, PolicyFile(None), spool, link)
        nursery.start_soon(agent.run)
        yield Inside(agent, spool, link, token, runs)
        nursery.cancel_scope.cancel()
