"""The real agent as its own process, with a stand-in for kubectl or a real one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import trio

from tests.kit.kubectl import stand_in
from tests.kit.process import Watched

_LEAN = "import sys; sys.modules |= dict.fromkeys(('numpy', 'rich')); from agent.cli import main; sys.exit(main())"
AGENT = (sys.executable, "-c", _LEAN)
"""`python -m agent`, as in the image: without two libraries of the tests that others import where they find them. That
would take 0.2 s of each start."""
STOP_SECONDS = 20.0


class Api(Protocol):
    """What an agent has to know of its API."""

    token: str
    cluster_id: str

    @property
    def url(self) -> str:
        """KUBENTLY_API_URL."""


class AgentProcess:
    """One agent over one folder; it can be killed and started again over the same spool.

    Args:
        api: whom it asks.
        folder: for its spool; it may be a small disk.
        aside: for what is the test's own: log, stand-in, what was run. By default the same folder.
        kubectl: a real one; by default the stand-in of the kit.
        kubeconfig: for the real one.
        command: what is started.
        environ: more of the environment, or other values.
    """

    def __init__(
        self,
        api: Api,
        folder: Path,
        *,
        aside: Path | None = None,
        kubectl: Path | None = None,
        kubeconfig: Path | None = None,
        command: Sequence[str] = AGENT,
        **environ: str,
    ) -> None:
        aside = aside or folder
        self.folder, self.command = folder, command
        self.spool, self.log, self.noted = folder / "spool.db", aside / "agent.log", aside / "runs"
        self.log.touch()
        self.noted.touch()
        if kubeconfig is None:
            kubeconfig = aside / "kubeconfig"
            kubeconfig.touch()
        self.environ = {
            "PATH": os.environ["PATH"],
            "KUBENTLY_API_URL": api.url,
            "CLUSTER_ID": api.cluster_id,
            "KUBENTLY_TOKEN": api.token,
            "KUBENTLY_SPOOL_PATH": str(self.spool),
            "KUBENTLY_SPOOL_MAX_BYTES": "64Mi",
            "KUBENTLY_KUBECTL": str(kubectl or stand_in(aside / "kubectl-stand-in", runs=self.noted)),
            "KUBENTLY_KUBECONFIG": str(kubeconfig),
            "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
            "KUBENTLY_DRAIN_SECONDS": "10",
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS_")},
            **environ,
        }
        self._process: trio.Process | None = None
        self._began = 0

    @property
    def process(self) -> trio.Process:
        """The one that runs now, or ran last."""
        assert self._process is not None, "not started yet"
        return self._process

    @property
    def runs_now(self) -> bool:
        """Whether it was started and hasn't ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def watched(self) -> Watched:
        """Its memory and time."""
        return Watched(self.process.pid)

    async def start(self, *, under: Sequence[str] = ()) -> None:
        """Start it over the spool as it is. `under` is a command to start it with."""
        self._began = self.log.stat().st_size
        with self.log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                [*under, *self.command], env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def kill(self) -> None:
        """SIGKILL, as a node that has no memory left would."""
        self.process.kill()
        await self.process.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """A signal, and the exit code that follows."""
        self.process.send_signal(number)
        return await self.process.wait()

    async def end(self) -> None:
        """Whatever happened before: leave nothing running."""
        with trio.CancelScope(shield=True):
            if self.runs_now:
                with trio.move_on_after(STOP_SECONDS):
                    await self.stop()
            if self.runs_now:
                await self.kill()

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log so far, or the lines of one event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if event is None or line["event"] == event]

    async def until(self, event: str, count: int = 1) -> None:
        """Wait until the log has this event."""
        while len(self.events(event)) < count:
            assert self.process.poll() is None, self.log.read_text()
            await trio.sleep(0.02)

    async def until_up(self) -> None:
        """Until the tasks of this start run."""
        while b'"probes are served"' not in self.log.read_bytes()[self._began :]:
            await trio.sleep(0.05)

    def runs(self, what: str) -> int:
        """How often the stand-in was started for this."""
        return self.noted.read_text().split().count(what)


async def listened(api: Any) -> None:
    """Until an agent hears what is pushed: what is pushed to nobody is gone. Where agents poll, at once."""
    while "stream" in api.links and not api.listeners:  # the reference API has no event for this
        await trio.sleep(0.02)


async def ask(api: Any, what: str | list[Any], **fields: Any) -> str:
    """Have `get pods WHAT` run, or arguments as they are, by an agent that listens. Returns the command's id."""
    await listened(api)
    command_id: str = await api.ask(["get", "pods", what] if isinstance(what, str) else what, **fields)
    return command_id


@asynccontextmanager
async def agent_process(
    api: Any, folder: Path, *, under: Sequence[str] = (), **more: Any
) -> AsyncIterator[AgentProcess]:
    """A running agent, over the first link of its API; nothing of it is left afterwards."""
    agent = AgentProcess(api, folder, **{"KUBENTLY_LINK": next(iter(api.links)), **more})
    await agent.start(under=under)
    try:
        yield agent
    finally:
        with trio.CancelScope(shield=True):
            if agent.runs_now:
                await agent.kill()
