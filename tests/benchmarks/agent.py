"""What is measured: the agent as in its image, and the peer beside it, each with an API of its own.

Both run under the interpreter in BENCH_PYTHON, which has the runtime requirements and nothing more, as the image has.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.kit.agent import AgentProcess
from tests.kit.api import FakeApi, fake_api

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("BENCH_PYTHON", sys.executable)
START_SECONDS = 60
FLAGS = ("-OO",)
"""As the image starts it: without docstrings, which take 1.5 MB."""
AGENT = (PYTHON, *FLAGS, "-m", "agent")
PEER = (PYTHON, *FLAGS, "-m", "tests.benchmarks.peer")
FLOOR = (PYTHON, *FLAGS, "-m", "tests.benchmarks.floor")
_LIBRARIES = next(path for path in sys.path if path.endswith("site-packages"))
"""Where `requests` is, which the agent's interpreter hasn't got."""


class Measured(AgentProcess):
    """The agent, or with `command=PEER` the peer, over a folder of its own."""

    def __init__(
        self,
        api: FakeApi,
        folder: Path,
        *,
        kubectl: Path | None = None,
        kubeconfig: Path | None = None,
        command: Sequence[str] = AGENT,
        **environ: str,
    ) -> None:
        folder.mkdir(exist_ok=True)
        path = str(ROOT) if command == AGENT else f"{ROOT}:{_LIBRARIES}"
        usual: dict[str, Any] = {"PYTHONPATH": path, "LOG_LEVEL": "INFO", "KUBENTLY_SPOOL_MAX_BYTES": "256Mi"}
        usual["HOME"] = str(folder)  # without one the peer's kubectl keeps its cache in the checkout
        super().__init__(api, folder, kubectl=kubectl, kubeconfig=kubeconfig, command=command, **{**usual, **environ})
        self.api = api

    async def through(self, what: str | list[str]) -> float:
        """Seconds from the moment when the API's answer with the command is sent until its result is here."""
        await self.api.parked()
        known = self.api.queue(what, timeout=60)
        await known.answered.wait()
        return known.arrived_at - known.left_at

    def bare(self, args: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The same line without the agent, and its environment: a home of its own for kubectl's cache."""
        kubectl, kubeconfig = self.environ["KUBENTLY_KUBECTL"], self.environ["KUBENTLY_KUBECONFIG"]
        return [kubectl, f"--kubeconfig={kubeconfig}", *args], {"HOME": str(self.folder / "bare"), "PATH": ""}


def compile_all() -> None:
    """As the image is built: whoever compiles while he starts takes longer, and keeps 6 MB for good."""
    imports = "import agent.run, agent.cli.run, agent.link.poll"
    subprocess.run([PYTHON, *FLAGS, "-c", imports], env={"PYTHONPATH": str(ROOT)}, cwd=ROOT, check=True)


@asynccontextmanager
async def measured(folder: Path, **more: Any) -> AsyncIterator[Measured]:
    """One that runs, after its first poll. Nothing of it is left behind."""
    async with fake_api(["poll"], weighs=True) as api:
        api.active = False  # polls of 20 s: none ends while another has its turn
        one = Measured(api, folder, **more)
        await one.start()
        try:
            with trio.move_on_after(START_SECONDS):
                await api.parked()
            assert api.exchanges, one.log.read_text()
            yield one
        finally:
            await one.end()
