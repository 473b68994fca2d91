"""The agent to be measured, as its own process: with the interpreter in BENCH_PYTHON, which has the runtime
requirements and nothing more, as the image has.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from agent.guard import decide
from agent.kubectl.surroundings import Surroundings
from tests.benchmarks.api import CLUSTER_ID, TOKEN, BenchApi
from tests.benchmarks.process import Watched
from tests.whole.agents import KUBECTL

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("BENCH_PYTHON", sys.executable)
FLAGS = ("-OO",)
"""As the image starts it: without docstrings, which take 1.5 MB."""

QUICK = """#!/bin/sh
for arg; do
  case "$arg" in
    config) echo '{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"current-context":"c"}'; exit;;
    version) echo '{"clientVersion":{"gitVersion":"v1.37.1"}}'; exit;;
  esac
done
echo "a line of output"
"""
"""A stand-in for kubectl that takes a millisecond: what is left of the time is the agent's."""


def stand_in(folder: Path, text: str = KUBECTL) -> Path:
    """A script in kubectl's place. By default one that does what its arguments say, such as `flood-BYTES`."""
    path = folder / "kubectl-stand-in"
    path.write_text(text)
    path.chmod(0o755)
    return path


class Agent:
    """One agent process over one folder."""

    def __init__(
        self, api: BenchApi, folder: Path, *, kubectl: Path, kubeconfig: Path | None = None, **environ: str
    ) -> None:
        self.folder = folder
        self.log = folder / "agent.log"
        if kubeconfig is None:
            kubeconfig = folder / "kubeconfig"
            kubeconfig.touch()
        self._kubectl, self._kubeconfig = kubectl, kubeconfig
        self.environ = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "KUBENTLY_API_URL": api.url,
            "CLUSTER_ID": CLUSTER_ID,
            "KUBENTLY_TOKEN": TOKEN,
            "KUBENTLY_SPOOL_PATH": str(folder / "spool.db"),
            "KUBENTLY_KUBECTL": str(kubectl),
            "KUBENTLY_KUBECONFIG": str(kubeconfig),
            "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
            "KUBENTLY_DRAIN_SECONDS": "5",
            **environ,
        }
        self.process: trio.Process | None = None

    async def start(self, *launcher: str, under: Sequence[str] = ()) -> None:
        """Start it. `launcher` are Python's arguments in place of `-m agent`; `under` is a command to start it with."""
        with self.log.open("ab") as log:
            self.process = await trio.lowlevel.open_process(
                [*under, PYTHON, *FLAGS, *(launcher or ("-m", "agent"))],
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def watched(self) -> Watched:
        """Its memory and time."""
        assert self.process is not None, "not started yet"
        return Watched(self.process.pid)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that takes too long."""
        assert self.process is not None, "not started yet"
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with trio.move_on_after(10):
                await self.process.wait()
        if self.process.poll() is None:
            self.process.kill()
        await self.process.wait()

    def bare(self, args: Sequence[str]) -> tuple[list[str], dict[str, str], Path]:
        """The line, environment and folder with which the agent starts kubectl for these arguments."""
        around = Surroundings.prepare(
            kubectl=str(self._kubectl), kubeconfig=self._kubeconfig, home=self.folder / "kubectl", environ=self.environ
        )
        line = [str(around.program), *around.flags, *decide(list(args)).argv]
        return line, dict(around.environ), around.folder


def compile_all() -> None:
    """As the image is built: whoever compiles while he starts takes longer, and keeps 6 MB for good."""
    imports = "import agent.run, agent.cli.run, agent.link.poll"
    subprocess.run([PYTHON, *FLAGS, "-c", imports], env={"PYTHONPATH": str(ROOT)}, cwd=ROOT, check=True)


@asynccontextmanager
async def running(agent: Agent, *launcher: str, under: Sequence[str] = ()) -> AsyncIterator[Agent]:
    """Start it, and leave nothing of it behind."""
    await agent.start(*launcher, under=under)
    try:
        yield agent
    finally:
        with trio.CancelScope(shield=True):
            await agent.stop()
