"""The real agent, as a process of its own: started, stopped, and killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import trio

_STOP_SECONDS = 20.0
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
"""Nothing else of the caller's environment reaches the agent: the demo is the same for everybody."""


class AgentProcess:
    """`python -m agent run` with an environment; its log goes to a file.

    It runs in a process group of its own, so that Ctrl-C reaches the demo alone, which then stops it in order.
    """

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._environ = {name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(environ)
        self.log = log
        self.starts = 0
        self._process: trio.Process | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        return self._process.pid if self._process else 0

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll() if self._process else None

    async def start(self) -> None:
        """Start it."""
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "agent", "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                process_group=0,
            )

    async def kill(self) -> int:
        """SIGKILL: nothing of it gets a chance to tidy up. Returns the pid it had."""
        process = self._running()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        return process.pid

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL if it takes too long; returns the exit code."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(_STOP_SECONDS) as waiting:
            return await process.wait()
        if waiting.cancelled_caught:
            process.send_signal(signal.SIGKILL)
        return await process.wait()

    async def end(self) -> None:
        """Whatever happened before: leave nothing running, and nobody waiting. A second signal ends the drain."""
        if self._process is not None and self.exit_code is None:
            with trio.CancelScope(shield=True):
                self._process.send_signal(signal.SIGTERM)
                self._process.send_signal(signal.SIGINT)
                await self.stop()

    def last_lines(self, lines: int = 12) -> list[str]:
        """The end of its log."""
        return self.log.read_text(errors="replace").splitlines()[-lines:] if self.log.exists() else []

    def _running(self) -> trio.Process:
        if self._process is None:
            raise RuntimeError("the agent hasn't been started")
        return self._process
