"""One child process: started, limited, read, ended with its whole group, and reaped.

`subprocess.Popen` is called in the event loop's own thread. It uses vfork and takes 0.7 ms for kubectl's 60 MB; a
thread for it would add 1.7 ms, and a `preexec_fn`, which forces a fork, 4.8 ms (measured, CPython 3.11, two busy
cores). So limits are set from outside, right after the start: no kubectl gets far in 0.1 ms.
"""

import errno
import fcntl
import os
import resource
import selectors
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import trio

from agent.errors import KubectlError
from agent.kubectl.environment import Environment
from agent.model import Stream

KILLED_SECONDS = 5.0  # for a killed process to go: only one that is stuck inside the kernel takes longer
PIPE_BYTES = 256 * 1024  # what a pipe holds, and what is read of it at once
_LAST_READS = 34
"""So many find the end of both pipes, even where memory pages have 64 KiB and a pipe holds 1 MiB. There may be no end:
what has left the group can go on printing."""

_START_ERRORS = {
    errno.ENOENT: "it isn't there any more, or the interpreter that its first line names isn't",
    errno.EACCES: "it may not be executed: look at its mode, and whether its volume is mounted noexec",
    errno.ENOEXEC: "it isn't a program for this machine: the wrong architecture, or a damaged download",
    errno.EAGAIN: "no more processes may be started: look at the pod's pids limit",
}


class Child:
    """A process in a session of its own, with nothing open but the two pipes that are read here."""

    def __init__(self, environment: Environment, argv: Sequence[str]) -> None:
        """Start it. Raises KubectlError, which says why it can't be."""
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
        except (OSError, ValueError) as error:
            raise _unstartable(environment, error) from error
        self._pid = self._process.pid
        with suppress(OSError):  # it is gone already, or has a lower limit that only root may raise
            resource.prlimit(self._pid, resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the token
            resource.prlimit(self._pid, resource.RLIMIT_DATA, (environment.data_bytes, environment.data_bytes))
        self.crowded = False  # whether it was ended because all together took too much memory
        self._events = selectors.DefaultSelector()
        self._pipes = {stream: getattr(self._process, stream) for stream in ("stdout", "stderr")}
        for stream, pipe in self._pipes.items():
            self._events.register(pipe, selectors.EVENT_READ, stream)
            with suppress(OSError):  # as on a node that allows no more than the default
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._handle: int | None = None
        with suppress(OSError):  # in a sandbox that doesn't know it
            self._handle = os.pidfd_open(self._pid)
            self._events.register(self._handle, selectors.EVENT_READ)

    @property
    def gone(self) -> bool:
        """Whether the process has ended. It isn't reaped, so that its number stays its own."""
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    async def changed(self) -> None:
        """Wait until there is something to read, or it has ended; without pidfd, only for what is to be read."""
        await trio.lowlevel.wait_readable(self._events.fileno())

    def read(self) -> Iterator[tuple[Stream, bytes]]:
        """What it has printed, at most `PIPE_BYTES` of each stream; nothing at a stream's end. Doesn't wait."""
        for key, _ in self._events.select(0):
            if key.data is not None:
                data = os.read(key.fd, PIPE_BYTES)
                if not data:
                    self._events.unregister(key.fileobj)
                yield key.data, data

    async def end(self, grace: float) -> tuple[int, list[tuple[Stream, bytes]]]:
        """End what is left of it and of what it has started, even if cancelled: SIGTERM, and after `grace` seconds
        SIGKILL. Returns what `subprocess` calls the return code (-N for signal N), and what it has printed last.
        """
        if not self.gone:
            self.signal(signal.SIGTERM)
            await self._exit(grace)
        self.signal(signal.SIGKILL)  # what is left of the group
        await self._exit(KILLED_SECONDS)
        printed: list[tuple[Stream, bytes]] = []
        while len(printed) < _LAST_READS and (more := [*self.read()]):
            printed += more
        self._events.close()
        for pipe in self._pipes.values():
            pipe.close()
        if self._handle is not None:
            os.close(self._handle)
        code = self._process.poll()
        return -signal.SIGKILL if code is None else code, printed  # None: it hangs inside the kernel

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

    async def _exit(self, seconds: float) -> None:
        with trio.move_on_after(seconds, shield=True):
            while not self.gone:
                if self._handle is None:
                    await trio.sleep(0.02)
                else:
                    await trio.lowlevel.wait_readable(self._handle)


def _unstartable(environment: Environment, error: OSError | ValueError) -> KubectlError:
    if not isinstance(error, OSError):  # a NUL or a lone surrogate, which the guard refuses
        reason = f"its arguments can't be passed on ({error})"
    elif error.filename == environment.folder:
        reason = f"{environment.folder}, its working folder, is gone; restart the agent"
    else:
        reason = _START_ERRORS.get(error.errno or 0, str(error.strerror))
    return KubectlError(f"{environment.program} can't be started: {reason}.")
