"""One agent with its API and its cluster, and a person who types."""

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo.api import ReferenceApi, reference_api
from demo.cluster.api import SampleCluster, sample_cluster
from demo.story.process import AgentProcess

PATIENCE_SECONDS = 240.0
HOME = "/var/lib/kubently"
"""In the documents paths are those of a pod; everything else is as it was."""

Texts = dict[str, str]


class Stage:
    """Gathers texts for the documents."""

    def __init__(
        self, api: ReferenceApi, cluster: SampleCluster, folder: Path, texts: Texts, seed: int, **more: str
    ) -> None:
        self.api = api
        self.cluster = cluster
        self.folder = folder
        self.token_file = folder / "token"
        self.token_file.write_text(api.token)
        self._texts = texts
        self._ids = random.Random(seed)
        self._port = free_port()
        cluster.write_kubeconfig(folder / "kubeconfig")
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KUBENTLY_API_URL": api.url,
            "CLUSTER_ID": api.cluster_id,
            "KUBENTLY_TOKEN_FILE": str(self.token_file),
            "KUBENTLY_SPOOL_PATH": str(folder / "spool.db"),
            "KUBENTLY_KUBECONFIG": str(folder / "kubeconfig"),
            "KUBENTLY_HEALTH_ADDRESS": f"127.0.0.1:{self._port}",
            "LOG_FORMAT": "text",
            "COLUMNS": "100",
            **more,
        }
        self.agent = AgentProcess(self.environ, folder / "log")

    @property
    def probes(self) -> str:
        """Where the agent answers probes."""
        return f"127.0.0.1:{self._port}"

    async def ask(self, *args: str, timeout: float = 20) -> str:  # the command's
        """A command with an id that is the same each time."""
        command_id = str(uuid.UUID(int=self._ids.getrandbits(128), version=4))
        return await self.api.ask(args, timeout=timeout, command_id=command_id)

    async def answered(self, *ids: str) -> None:
        """Until the API has the results."""
        for command_id in ids:
            await self.until(self.api.record[command_id].answered.is_set, f"the answer to {command_id}")

    async def logged(self, words: str, count: int = 1) -> None:
        """Until the log has it."""
        await self.until(lambda: self._log().count(words) >= count, f"{words!r} in the log")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        with trio.move_on_after(PATIENCE_SECONDS):
            while not condition():  # other processes
                await trio.sleep(0.1)
            return
        raise AssertionError(f"waited in vain for {what}:\n{self._log()}")

    async def shell(self, name: str, *commands: str) -> None:
        """Type commands; what is printed becomes the text `name`."""
        shown = [f"$ {command}\n{await self._typed(command)}" for command in commands]
        self._texts[name] = "\n".join(text.rstrip() + "\n" for text in shown)

    def show_log(self, name: str, *words: str) -> None:
        """Lines of the log that have one of these words become the text `name`."""
        lines = [line for line in self._log().splitlines() if any(word in line for word in words)]
        assert lines, f"none of {words} in the log:\n{self._log()}"
        self._texts[name] = self._as_in_a_pod("\n".join(lines))

    async def _typed(self, command: str) -> str:
        real = command.replace(HOME, str(self.folder))
        done = await trio.run_process(
            ["/bin/bash", "-c", real],
            env=self.environ,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return self._as_in_a_pod(done.stdout.decode())

    def _as_in_a_pod(self, text: str) -> str:
        """The same text with the paths and ports of a pod."""
        api_port = self.api.url.rpartition(":")[2]
        for ours, theirs in {
            str(self.folder): HOME,
            str(Path(sys.executable).parent): "/usr/local/bin",
            f"127.0.0.1:{self._port}": "0.0.0.0:8080",
            f"127.0.0.1:{api_port}": "127.0.0.1:8000",
        }.items():
            text = text.replace(ours, theirs)
        text = re.sub(rf"\b{api_port}\b", "8000", text)
        return "\n".join(line.rstrip() for line in text.splitlines())

    def _log(self) -> str:
        return (self.folder / "log").read_text() if (self.folder / "log").exists() else ""


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def results_answered_with(status: int) -> Callable[[Request], Awaitable[Response | None]]:
    """Only results are affected: commands go on arriving."""

    async def interfere(request: Request) -> Response | None:
        if request.method != "POST":
            return None
        return JSONResponse({"detail": "upstream connect error"}, status)

    return interfere


@asynccontextmanager
async def stage(texts: Texts, seed: int, **environ: str) -> AsyncIterator[Stage]:
    """An agent that runs, with everything around it. Nothing is left of it."""
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    try:
        async with reference_api(cluster_id="prod-eu-1", links=["poll"]) as api, sample_cluster() as cluster:
            made = Stage(api, cluster, folder, texts, seed, **environ)
            await made.agent.start()
            try:
                await made.logged("probes are served")
                yield made
            finally:
                await made.agent.end()
    finally:
        shutil.rmtree(folder)
