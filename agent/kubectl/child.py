"""One child process: started, limited, read, waited for, ended with its whole group, and reaped.

`subprocess.Popen` is called in the event loop's own thread. It uses vfork and takes 0.7 ms for kubectl's 60 MB; a
thread for it would add 1.7 ms, and a `preexec_fn`, which forces a fork, 4.8 ms (measured, CPython 3.11, two busy
cores). So limits are set from outside, right after the start: no kubectl gets far in 0.1 ms.
"""

import errno
import fcntl
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import trio

from agent.errors import KubectlError
from agent.kubectl.environment import MOST_BYTES, Environment
from agent.model import Stream

Why = Literal["time limit", "flood", "crowd", "memory"]
"""Why a child ended early: its time was up, it printed a large multiple of the cap, all of them took too much memory
together, or it alone did. In the last case the system refused it more; else the agent ended it.
"""

KILLED_SECONDS = 5.0
"""How long to wait for a killed process to go. Only one that is stuck inside the kernel takes longer."""

PIPE_BYTES = 256 * 1024
"""What the pipe of stdout holds, and what is read of it at once."""

WEIGHED_SECONDS = 0.1
"""How often the memory of running kubectls is checked. At the manifest's 0.2 of a core one grows by 2 MB meanwhile."""

_START_ERRORS = {
    errno.ENOENT: "it isn't there any more, or the interpreter that its first line names isn't",
    errno.EACCES: "it may not be executed: look at its mode, and whether its volume is mounted noexec",
    errno.ENOEXEC: "it isn't a program for this machine: the wrong architecture, or a damaged download",
    errno.EAGAIN: "no more processes may be started: look at the pod's pids limit",
}


class Child:
    """A process in a session of its own, with nothing open but the two pipes that are read here."""

    def __init__(self, environment: Environment, argv: Sequence[str], cpu_seconds: int) -> None:
        """Start it. Raises KubectlError with a sentence that says what is wrong."""
        self.why: Why | None = None
        """Why it was ended, if the agent did that."""
        self._gone = False
        self._limit = trio.CancelScope()
        try:
            self._process = subprocess.Popen(
                [str(environment.program), *environment.flags, *argv],
                env=environment.environ,
                cwd=environment.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            raise _unstartable(environment, error) from error
        except ValueError as error:  # a NUL or a lone surrogate, which the guard refuses
            raise KubectlError(f"kubectl can't be started: its arguments can't be passed on ({error}).") from error
        self._pid = self._process.pid
        self._pipes: dict[Stream, IO[bytes]] = {
            stream: getattr(self._process, stream) for stream in ("stdout", "stderr")
        }
        for pipe in self._pipes.values():
            os.set_blocking(pipe.fileno(), False)
        with suppress(OSError):  # as on a node that allows no more than the default
            fcntl.fcntl(self._pipes["stdout"], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with suppress(OSError):  # it is gone already
            resource.prlimit(self._pid, resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
            resource.prlimit(self._pid, resource.RLIMIT_DATA, (environment.data_bytes, environment.data_bytes))
            resource.prlimit(self._pid, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
            resource.prlimit(self._pid, resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the token
        with suppress(OSError):  # when memory runs out, the kernel takes it before the agent (0); may be root's alone
            Path(f"/proc/{self._pid}/oom_score_adj").write_text("800")

    async def read(self, stream: Stream) -> bytes:
        """What it has printed; nothing at the end, or if it is gone and something else still holds its pipe."""
        pipe = self._pipes[stream].fileno()
        if not self._gone:
            with suppress(trio.ClosedResourceError):  # how `_end` wakes whoever waits here
                await trio.lowlevel.wait_readable(pipe)
        try:
            return os.read(pipe, PIPE_BYTES)
        except BlockingIOError:
            return b""

    async def ended(self, timeout: float, grace: float, too_large: Callable[[], bool]) -> int:  # noqa: ASYNC109
        """Wait until nothing of it is left, and return what `subprocess` calls the return code: -N for signal N.

        After `timeout`, after `stop`, when it is found too large or when cancelled, it and what it has started are
        asked to end (SIGTERM), and killed after `grace` (SIGKILL). Both are in seconds.
        """
        self._limit.deadline = trio.current_time() + timeout
        try:
            with self._limit:
                while not self._gone:
                    with trio.move_on_after(WEIGHED_SECONDS):
                        await self._exit()
                    if not self._gone and too_large():
                        self.stop("crowd")
        finally:
            with trio.CancelScope(shield=True):
                code = await self._end(grace)
        return code

    def stop(self, why: Why) -> None:
        """End it before its time."""
        self.why = why
        self._limit.cancel()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group. Not after it was reaped: then the number may be another's."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def held_bytes(self) -> int:
        """Bytes of memory, without what can be given back to a file, such as its program. 0 if it is gone."""
        try:
            _, resident, shared, *_ = Path(f"/proc/{self._pid}/statm").read_text().split()
        except OSError:
            return 0
        return (int(resident) - int(shared)) * resource.getpagesize()

    def close(self) -> None:
        """Close both pipes."""
        for pipe in self._pipes.values():
            pipe.close()

    async def _end(self, grace: float) -> int:
        if self._gone:
            self.why = None  # it was faster
        else:
            self.why = self.why or "time limit"
            self.signal(signal.SIGTERM)
            with trio.move_on_after(grace):
                await self._exit()
        self.signal(signal.SIGKILL)  # what is left of the group
        with trio.move_on_after(KILLED_SECONDS):
            await self._exit()
        self._gone = True
        for pipe in self._pipes.values():
            trio.lowlevel.notify_closing(pipe)
        code = self._process.poll()
        return -signal.SIGKILL if code is None else code  # None: it hangs inside the kernel

    async def _exit(self) -> None:
        """Return once the process has ended. It isn't reaped, so that its number stays its own."""
        if self._gone:
            return
        try:
            handle = os.pidfd_open(self._pid)
        except OSError:  # a sandbox that doesn't know it
            while os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:  # noqa: ASYNC110, ASYNC222
                await trio.sleep(0.02)
        else:
            try:
                await trio.lowlevel.wait_readable(handle)
            finally:
                os.close(handle)
        self._gone = True


def _unstartable(environment: Environment, error: OSError) -> KubectlError:
    reason = _START_ERRORS.get(error.errno or 0, error.strerror)
    if error.filename == environment.folder:
        reason = f"{environment.folder}, its working folder, is gone; restart the agent"
    return KubectlError(f"{environment.program} can't be started: {reason}.")
