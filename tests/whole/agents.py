"""The real agent as its own process, with a kubectl that does what its arguments say.

The stand-in kubectl is a shell script, for faults that a real one does not show on demand. After the guard's `--` it
finds `pods WHAT`, where WHAT is one of:

    echo-TEXT       prints TEXT
    sleep-SECONDS   prints "began", sleeps, prints "ended"
    flood-BYTES     prints so many bytes
    family-SECONDS  starts a grandchild that sleeps too, prints both pids, sleeps
    fail            prints to both streams and exits with 3

Each start is noted in the file `runs` beside it, so that tests can count them.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

KUBECTL = r"""#!/bin/sh
config='{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"current-context":"c"}'
for arg; do
  case "$arg" in
    config) echo "$config"; exit 0;;
    version) echo '{"clientVersion":{"gitVersion":"v1.37.1"}}'; exit 0;;
  esac
  what=$arg
done
echo "$what" >> "$HOME/../runs"
number=${what#*-}
case "$what" in
  echo-*) echo "$number";;
  sleep-*) echo began; /bin/sleep "$number"; echo ended;;
  flood-*) /usr/bin/head -c "$number" /dev/zero | /usr/bin/tr '\0' x;;
  family-*) /bin/sleep "$number" & echo "$$ $!"; /bin/sleep "$number";;
  fail) echo "some output"; echo "no such pod" >&2; exit 3;;
esac
"""


class AgentProcess:
    """One agent over one folder; it can be killed and started again over the same spool."""

    def __init__(self, api_url: str, token: str, cluster_id: str, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.spool = folder / "spool.db"
        self.log = folder / "agent.log"
        kubectl = folder / "kubectl-stand-in"
        kubectl.write_text(KUBECTL)
        kubectl.chmod(0o755)
        (folder / "kubeconfig").touch()
        self.environ = {
            "PATH": os.environ["PATH"],
            "KUBENTLY_API_URL": api_url,
            "CLUSTER_ID": cluster_id,
            "KUBENTLY_TOKEN": token,
            "KUBENTLY_SPOOL_PATH": str(self.spool),
            "KUBENTLY_SPOOL_MAX_BYTES": "64Mi",
            "KUBENTLY_KUBECTL": str(kubectl),
            "KUBENTLY_KUBECONFIG": str(folder / "kubeconfig"),
            "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
            "KUBENTLY_DRAIN_SECONDS": "10",
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
            **{
                name: os.environ[name]
                for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
                if name in os.environ
            },
            **environ,
        }
        self._process: trio.Process | None = None

    @property
    def process(self) -> trio.Process:
        """The one that runs now, or ran last."""
        assert self._process is not None, "not started yet"
        return self._process

    async def start(self) -> None:
        """Start it over the spool as it is."""
        with self.log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "agent"], env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def kill(self) -> None:
        """SIGKILL, as a node that has no memory left would."""
        self.process.kill()
        await self.process.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """A signal, and the exit code that follows."""
        self.process.send_signal(number)
        return await self.process.wait()

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log so far, or the lines of one event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if event is None or line["event"] == event]

    async def until(self, event: str, count: int = 1) -> None:
        """Wait until the log has this event."""
        while len(self.events(event)) < count:
            assert self.process.poll() is None, self.log.read_text()
            await trio.sleep(0.02)

    def runs(self, what: str) -> int:
        """How often the stand-in was started for this."""
        noted = self.folder / "runs"
        return noted.read_text().split().count(what) if noted.exists() else 0


@asynccontextmanager
async def agent_process(api, folder: Path, **environ: str) -> AsyncIterator[AgentProcess]:
    """A running agent for the reference API, over the first of its links; nothing of it is left afterwards."""
    link = {"KUBENTLY_LINK": next(iter(api.links))}
    agent = AgentProcess(api.url, api.token, api.cluster_id, folder, **{**link, **environ})
    await agent.start()
    try:
        yield agent
    finally:
        if agent.process.poll() is None:
            agent.process.kill()
            with trio.CancelScope(shield=True):
                await agent.process.wait()
