"""One child process: started, limited, waited for, ended with its whole group, and reaped.

`subprocess.Popen` is called in the event loop's own thread. It uses vfork and takes 0.7 ms for kubectl's 60
MB; a thread for it would add 1.7 ms, and a `preexec_fn`, which forces a fork, 4.8 ms (measured, CPython 3.11,
two busy cores). So limits are set from outside, right after the start. That leaves a moment without them,
which doesn't matter: memory is checked whenever more is asked for, processor time is counted from the start,
and no kubectl gets far in 0.1 ms.
"""

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from agent.errors import KubectlError
from agent.kubectl.memory import MOST_BYTES

OOM_SCORE = 800
"""When memory runs out, the kernel takes the child before the agent (0)."""

KILLED_SECONDS = 5.0
"""How long to wait for a killed process to go. Only one that is stuck inside the kernel takes longer."""

_START_ERRORS = {
    errno.ENOENT: "it isn't there any more, or the interpreter that its first line names isn't",
    errno.EACCES: "it may not be executed: look at its mode, and whether its volume is mounted noexec",
    errno.EPERM: "it may not be executed: look at its mode, and whether its volume is mounted noexec",
    errno.ENOEXEC: "it isn't a program for this machine: the wrong architecture, or a damaged download",
    errno.ETXTBSY: "it is being written at the moment",
    errno.EMFILE: "the agent has too many files open",
    errno.ENFILE: "the node has too many files open",
    errno.EAGAIN: "no more processes may be started: look at the pod's pids limit",
    errno.ENOMEM: "there is no memory left for it",
    errno.E2BIG: "its arguments are too long",
}


class Child:
    """A process in a session of its own, with nothing open but the two pipes that are read here."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: int, stderr: int) -> None:
        self._process = process
        self.pid = process.pid
        self.stdout = stdout
        self.stderr = stderr

    @classmethod
    def start(
        cls, argv: Sequence[str], *, environ: Mapping[str, str], folder: Path, cpu_seconds: int, data_bytes: int
    ) -> "Child":
        """Start `argv[0]`, an absolute path. Raises KubectlError with a sentence that says what is wrong."""
        with contextlib.ExitStack() as keep, contextlib.ExitStack() as drop:
            try:
                stdin = _opened(drop, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
                stdout, stdout_end = _pipe(keep, drop)
                stderr, stderr_end = _pipe(keep, drop)
                process = subprocess.Popen(
                    argv,
                    env=environ,
                    cwd=folder,
                    stdin=stdin,
                    stdout=stdout_end,
                    stderr=stderr_end,
                    start_new_session=True,
                    close_fds=True,
                    umask=0o077,
                )
            except OSError as error:
                raise _unstartable(argv[0], folder, error) from error
            except ValueError as error:  # a NUL or a lone surrogate, which the guard refuses
                raise KubectlError(f"kubectl can't be started: its arguments can't be passed on ({error})") from error
            keep.pop_all()
        child = cls(process, stdout, stderr)
        child._limit(cpu_seconds, data_bytes)
        return child

    async def exited(self) -> None:
        """Return once the process has ended. It isn't reaped, so that its number stays its own."""
        try:
            handle = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # another system, an older kernel, a sandbox that doesn't know it
            await trio.to_thread.run_sync(_wait, self.pid, abandon_on_cancel=True)
            return
        try:
            await trio.lowlevel.wait_readable(handle)
        finally:
            os.close(handle)

    async def end(self, grace: float) -> None:
        """Ask the group to end, wait `grace` seconds for the process itself, then kill what is left of the
        group.
        """
        self.signal(signal.SIGTERM)
        with trio.move_on_after(grace):
            await self.exited()

    async def reap(self) -> int | None:
        """Kill what is left of the group, and reap it.

        Returns what `subprocess` calls the return code: -N for signal N. None for a process that not even
        SIGKILL ended in time, because it hangs inside the kernel.
        """
        self.signal(signal.SIGKILL)
        with trio.move_on_after(KILLED_SECONDS):
            await self.exited()
        code = self._process.poll()
        if code is not None:
            await self._reap_adopted()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group. Only before the process is reaped: after that, the number may be
        another's.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Close both pipes."""
        os.close(self.stdout)
        os.close(self.stderr)

    def _limit(self, cpu_seconds: int, data_bytes: int) -> None:
        if sys.platform != "linux":
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            resource.prlimit(self.pid, resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
            resource.prlimit(self.pid, resource.RLIMIT_DATA, (data_bytes, data_bytes))
            resource.prlimit(self.pid, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
            resource.prlimit(self.pid, resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the token
        # The file is root's while the process isn't dumpable; then the node's own order has to do.
        with contextlib.suppress(OSError):
            score = os.open(f"/proc/{self.pid}/oom_score_adj", os.O_WRONLY)
            try:
                os.write(score, str(OOM_SCORE).encode())
            finally:
                os.close(score)

    async def _reap_adopted(self) -> None:
        """Reap what the process itself had started: as process 1 of a container, the agent inherits that."""
        with contextlib.suppress(ChildProcessError), trio.move_on_after(KILLED_SECONDS):
            while True:
                number, _ = os.waitpid(-self.pid, os.WNOHANG)  # noqa: ASYNC222  # doesn't wait
                if not number:
                    await trio.sleep(0.001)


def _opened(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    return _opened(ours, read), _opened(theirs, write)


def _wait(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _unstartable(program: str, folder: Path, error: OSError) -> KubectlError:
    if str(error.filename) == str(folder):
        return KubectlError(
            f"kubectl can't be started: {folder}, its working folder: {error.strerror}.", "Restart the agent."
        )
    reason = _START_ERRORS.get(error.errno or 0, error.strerror)
    return KubectlError(f"{program} can't be started: {reason}.")
