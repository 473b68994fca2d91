"""`Kubectl`: run one command line, stream what it prints, say how it ended."""

import functools
import json
import math
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from agent.errors import KubectlError
from agent.kubectl.child import Child
from agent.kubectl.environment import SERVICE_ACCOUNT, Environment
from agent.kubectl.memory import LOOK_SECONDS, Complaint, largest_of_too_many
from agent.kubectl.output import Pump, Text
from agent.model import Stream

Sink = Callable[[Stream, str], Awaitable[None]]
"""Takes what was printed, read by read: what 64 KiB of bytes decode to."""

STDERR_BYTES = 64 * 1024
"""More of stderr than this helps nobody, and isn't kept."""

FLOOD_CAPS, FLOOD_BYTES = 32, 64 * 1024 * 1024
"""A child is ended when it has printed so many times the cap, and at least so much: nobody will read it."""

_VERSION_SECONDS = 10.0
_GO_FATAL = 2  # the exit code of a Go program that can't go on


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended."""

    code: int
    """Its exit code; 128 + N when signal N ended it, as a shell reports it."""
    signal: str | None
    """The signal's name ("SIGKILL"), if one ended it."""
    timed_out: bool
    """The time limit was reached. What was printed until then has been handed on."""
    duration_ms: int
    stdout_bytes: int
    """All that it printed, those beyond the cap included."""
    truncated: bool
    """Some of stdout was beyond the cap."""
    out_of_memory: bool = False
    """It ended because it may have no more memory: the answer was too large for it."""
    crowded: bool = False
    """It was ended because it and others that ran took too much memory together, and it took the most."""
    flooded: bool = False
    """It was ended because it had printed a large multiple of the cap and went on."""


class Kubectl:
    """The kubectl of this agent, ready to run."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.path = environment.program
        self._children: set[Child] = set()
        self.trouble: str | None = None
        """Why the last child couldn't be started; None if it could."""

    @property
    def running(self) -> int:
        """How many children there are now."""
        return len(self._children)

    @classmethod
    def prepare(
        cls,
        *,
        kubectl: str,
        kubeconfig: Path | None,
        home: Path,
        environ: Mapping[str, str] = os.environ,
        service_account: Path = SERVICE_ACCOUNT,
    ) -> "Kubectl":
        """Make the environment of every child, once. See `Environment.prepare`; raises KubectlError."""
        return cls(
            Environment.prepare(
                kubectl=kubectl,
                kubeconfig=kubeconfig,
                home=home,
                environ=environ,
                service_account=service_account,
            )
        )

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,  # noqa: ASYNC109  # no scope of the caller's could keep what was printed
        max_bytes: int,
        sink: Sink,
        grace: float = 2.0,
    ) -> Exit:
        """Run one command line that the guard has made, and return when nothing of it is left.

        stdout and stderr go to `sink` while they are printed. At the time limit, when the caller is cancelled
        and when the sink fails, the whole group is asked to end (SIGTERM) and after `grace` killed (SIGKILL);
        what had been printed by then still reaches the sink, and only then does a Cancelled or the sink's
        error travel on. Cancelled while the child is being ended
        anyway, it returns as usual. Raises KubectlError if the child can't be started.

        Args:
            argv: Without the program itself.
            timeout: Seconds, from the start.
            max_bytes: How much of stdout is handed on, in UTF-8 bytes.
            sink: Is awaited for each piece, so that a slow one slows the child down; nothing heaps up.
            grace: Seconds between SIGTERM and SIGKILL.
        """
        began = trio.current_time()
        child = self._start(argv, timeout + grace)
        self._children.add(child)
        try:
            stdout = Text(max_bytes)
            run = _Run(child, timeout, grace, self._is_too_large)
            flood_bytes = max(FLOOD_CAPS * max_bytes, FLOOD_BYTES)
            complaint = Complaint()

            async def heard(stream: Stream, text: str) -> None:
                if stream == "stderr":
                    complaint.add(text)
                await sink(stream, text)

            await run.follow(stdout, Text(STDERR_BYTES), heard, flood_bytes)
        finally:
            self._children.discard(child)
            child.close()
        code, name = _code(run.returned)
        duration_ms = round((trio.current_time() - began) * 1000)
        short = code == _GO_FATAL and complaint.out_of_memory
        return Exit(
            code, name, run.timed_out, duration_ms, stdout.total, stdout.truncated, short, run.crowded, run.flooded
        )

    def kill(self) -> None:
        """Kill all children at once, for an agent that ends at once."""
        for child in self._children:
            child.signal(signal.SIGKILL)

    async def version(self) -> str:
        """The client's version ("v1.32.2"). Raises KubectlError if it can't be had: then this kubectl is no
        good.
        """
        printed: dict[Stream, list[str]] = {"stdout": [], "stderr": []}

        async def keep(stream: Stream, text: str) -> None:
            printed[stream].append(text)

        argv = ("version", "--client", "--output=json")
        ended = await self.run(argv, timeout=_VERSION_SECONDS, max_bytes=STDERR_BYTES, sink=keep)
        try:
            version = json.loads("".join(printed["stdout"]))["clientVersion"]["gitVersion"]
        except (ValueError, LookupError, TypeError):
            version = None
        if ended.code or ended.timed_out or not isinstance(version, str):
            how = "didn't end in time" if ended.timed_out else f"ended with {ended.signal or f'code {ended.code}'}"
            said = " ".join("".join(printed["stderr"]).split())[:200]
            raise KubectlError(f"{self.path} isn't usable: `version --client` {how}{': ' if said else ''}{said}")
        return version

    def _is_too_large(self, child: Child) -> bool:
        most = self.environment.data_bytes
        return largest_of_too_many([each.pid for each in self._children], most) == child.pid

    def _start(self, argv: Sequence[str], seconds: float) -> Child:
        around = self.environment
        try:
            child = Child.start(
                (str(self.path), *around.flags, *argv),
                environ=around.environ,
                folder=around.folder,
                # Twice the time, as Go collects garbage on other processors. It is a bound for a child whose
                # agent was killed and can't end it any more.
                cpu_seconds=2 * math.ceil(seconds),
                data_bytes=around.data_bytes,
            )
        except KubectlError as error:
            self.trouble = str(error)
            raise
        self.trouble = None
        return child


class _Run:
    """One child, from its start until it is reaped."""

    def __init__(self, child: Child, timeout: float, grace: float, is_too_large: Callable[[Child], bool]) -> None:
        self.timed_out = False
        self.crowded = False
        self.flooded = False
        self.returned: int | None = None
        self._child = child
        self._grace = grace
        self._is_too_large = is_too_large
        self._weighing = trio.CancelScope()
        self._limit = trio.CancelScope(deadline=trio.current_time() + timeout)
        self._failure: Exception | None = None

    async def follow(self, stdout: Text, stderr: Text, sink: Sink, flood_bytes: int) -> None:
        """Carry the output and wait for the end, which it brings about if need be."""

        def drown() -> None:
            self.flooded = True
            self._limit.cancel()

        out = Pump(self._child.stdout, stdout, functools.partial(sink, "stdout"), flood_bytes, drown)
        err = Pump(self._child.stderr, stderr, functools.partial(sink, "stderr"), flood_bytes, drown)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, out)
            nursery.start_soon(self._carry, err)
            nursery.start_soon(self._weigh)
            ended = False
            try:
                with self._limit:
                    await self._child.exited()
                    ended = True
            finally:
                self._weighing.cancel()
                with trio.CancelScope(shield=True):
                    if not ended:
                        await self._child.end(self._grace)
                    self.returned = await self._child.reap()
                out.child_is_gone()
                err.child_is_gone()
        if self._failure is not None:
            raise self._failure
        self.crowded = self.crowded and not ended
        self.flooded = self.flooded and not ended
        self.timed_out = not ended and not self.crowded and not self.flooded

    async def _weigh(self) -> None:
        with self._weighing:
            while not self.crowded:
                await trio.sleep(LOOK_SECONDS)  # first: most are over by then
                self.crowded = self._is_too_large(self._child)
            self._limit.cancel()

    async def _carry(self, pump: Pump) -> None:
        # Shielded, because what has been printed reaches the sink even if nobody waits for the result any
        # more. It ends all the same: the child is ended then, and its pipe with it.
        with trio.CancelScope(shield=True):
            try:
                await pump.run()
            except Exception as error:  # whatever it is, the child must not outlive it
                self._failure = self._failure or error
                self._limit.cancel()


def _code(returned: int | None) -> tuple[int, str | None]:
    """The exit code as a shell reports it, and the signal's name."""
    if returned is None:  # hangs inside the kernel, with SIGKILL on its way
        return 128 + signal.SIGKILL, signal.SIGKILL.name
    if returned >= 0:
        return returned, None
    try:
        name = signal.Signals(-returned).name
    except ValueError:  # a real-time signal has no name of its own
        name = f"signal {-returned}"
    return 128 - returned, name
