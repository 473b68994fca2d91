"""`Kubectl`: run one command line, stream what it prints, say how it ended."""

import codecs
import json
import math
import re
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import trio

from agent.errors import KubectlError
from agent.kubectl.child import Child, Why
from agent.kubectl.environment import Environment
from agent.model import Stream

Sink = Callable[[Stream, str], Awaitable[None]]
"""Takes the printed text chunk by chunk: what at most 256 KiB of bytes decode to."""

STDERR_BYTES = 64 * 1024
"""More of stderr helps nobody, and isn't kept."""

FLOOD_CAPS, FLOOD_BYTES = 32, 64 * 1024 * 1024
"""A child is ended when it has printed so many times the cap, and at least so much: nobody will read it."""

ASK_SECONDS = 10.0
"""How long it may take to tell its version or its kubeconfig's context."""

_OUT_OF_MEMORY = re.compile(r"^fatal error: .*(out of memory|cannot allocate memory)", re.MULTILINE)  # Go's own words
_GO_FATAL = 2  # the exit code of a Go program that can't go on
_HEAD_CHARS = 2000
_SHOWN_NUL = "\ufffd".encode()


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended."""

    code: int
    """Its exit code; 128 + N when signal N ended it, as a shell reports it."""
    signal: str | None
    """The signal's name ("SIGKILL"), if one ended it."""
    why: Why | None
    """Why it ended early, if it did. What was printed until then has been handed on."""
    duration_ms: int
    stdout_bytes: int
    """All that it printed, those beyond the cap included."""
    truncated: bool
    """Some of stdout was beyond the cap."""


class Kubectl:
    """The kubectl of this agent, ready to run."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.path = environment.program
        self.children: set[Child] = set()
        """Those that run now."""
        self.trouble: str | None = None
        """Why the last child couldn't be started; None if it could."""

    @classmethod
    async def prepare(cls, kubectl: str, kubeconfig: Path | None, home: Path, **more: Any) -> "Kubectl":
        """Make the environment of every child (see `Environment.prepare`), with the kubeconfig's context of today.

        Raises KubectlError.
        """
        made = cls(Environment.prepare(kubectl, kubeconfig, home, **more))
        if kubeconfig is not None:  # kubectl reads its own file: no second reader can disagree
            argv, server = ("config", "view", "--minify"), ("clusters", 0, "cluster", "server")
            _, context = await made._told(argv, server, ("current-context",))
            flags = (*made.environment.flags, f"--context={context}")
            made.environment = replace(made.environment, flags=flags)
        return made

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

        stdout and stderr go to `sink` while they are printed. At the time limit, when the caller is cancelled and when
        the sink fails, the whole group is asked to end (SIGTERM) and after `grace` killed (SIGKILL); what had been
        printed by then still reaches the sink, and only then does a Cancelled or the sink's error travel on, in a
        group. Raises KubectlError if the child can't be started.

        Args:
            argv: Without the program itself.
            timeout: Seconds, from the start.
            max_bytes: How much of stdout is handed on, in UTF-8 bytes.
            sink: Is awaited for each piece, so that a slow one slows the child down; nothing heaps up.
            grace: Seconds between SIGTERM and SIGKILL.
        """
        began = trio.current_time()
        child = self._start(argv, timeout + grace)
        flood_bytes = max(FLOOD_CAPS * max_bytes, FLOOD_BYTES)
        texts: dict[Stream, Text] = {"stdout": Text(max_bytes), "stderr": Text(STDERR_BYTES)}
        self.children.add(child)
        try:
            async with trio.open_nursery() as nursery:
                for stream, text in texts.items():
                    nursery.start_soon(_carry, child, stream, text, sink, flood_bytes)
                returned = await child.ended(timeout, grace, partial(self._is_too_large, child))
        finally:
            self.children.discard(child)
            child.close()
        stdout, stderr = texts.values()
        why = child.why
        if returned == _GO_FATAL and _OUT_OF_MEMORY.search(stderr.head):
            why = "memory"
        duration_ms = round((trio.current_time() - began) * 1000)
        return Exit(*_as_shell(returned), why, duration_ms, stdout.total, stdout.truncated)

    def kill(self) -> None:
        """Kill all children at once, for an agent that ends at once."""
        for child in self.children:
            child.signal(signal.SIGKILL)

    async def ask(self, argv: Sequence[str], seconds: float) -> tuple[Exit, str, str]:
        """Run one command line that prints little; how it ended, its stdout and its stderr. Raises as `run` does."""
        printed: dict[Stream, str] = {"stdout": "", "stderr": ""}

        async def keep(stream: Stream, text: str) -> None:
            printed[stream] += text

        ended = await self.run(argv, timeout=seconds, max_bytes=STDERR_BYTES, sink=keep)
        return ended, printed["stdout"], printed["stderr"]

    async def version(self) -> str:
        """The client's version ("v1.32.2"). Raises KubectlError if it can't be had: then this kubectl is no good."""
        (version,) = await self._told(("version", "--client"), ("clientVersion", "gitVersion"))
        return version

    async def _told(self, argv: Sequence[str], *places: Sequence[str | int]) -> list[str]:
        """The texts at these places of what it prints as JSON. Raises KubectlError if they aren't there."""
        ended, stdout, stderr = await self.ask((*argv, "--output=json"), ASK_SECONDS)
        with suppress(ValueError, LookupError, TypeError):
            texts = [reduce(getitem, place, json.loads(stdout)) for place in places]
            if all(text and isinstance(text, str) for text in texts):
                return texts
        how = "doesn't tell " + " and ".join(str(place[-1]) for place in places)
        if ended.code:
            how = "didn't end in time" if ended.why else f"ended with {ended.signal or f'code {ended.code}'}"
        said = " ".join(stderr.split())[:300]
        hint = "Name a kubectl that works on this machine with KUBENTLY_KUBECTL."
        problem = f"{self.path} isn't usable: `{' '.join(argv)}` {how}{': ' if said else ''}{said}"
        raise KubectlError(problem if said else f"{problem}.", "" if said else hint)

    def _start(self, argv: Sequence[str], seconds: float) -> Child:
        self.trouble = None
        try:
            # Twice the time, as Go collects garbage on other processors. It is a bound for a child whose agent was
            # killed and can't end it any more.
            return Child(self.environment, argv, cpu_seconds=2 * math.ceil(seconds))
        except KubectlError as error:
            self.trouble = str(error)
            raise

    def _is_too_large(self, child: Child) -> bool:
        """Whether all hold more than the container has, and this one the most. A single one has its own limit."""
        held = {each: each.held_bytes() for each in self.children}
        return len(held) > 1 and sum(held.values()) > self.environment.data_bytes and held[child] == max(held.values())


class Text:
    """One stream as text: what isn't UTF-8, and NUL, become U+FFFD, so that every database, JSON reader and terminal
    can hold it. Nothing is ever cut inside a character.
    """

    def __init__(self, max_bytes: int) -> None:
        self.total = 0
        """Bytes fed, those beyond the cap included."""
        self.truncated = False
        """Whether something was beyond the cap."""
        self.head = ""
        """Its beginning."""
        self._room = max_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes, *, last: bool = False) -> str:
        """The text of `data`, as far as the cap (in UTF-8 bytes of that text) allows.

        The bytes of an unfinished character are held back until the next call; with `last` they are given up.
        """
        self.total += len(data)
        if self.truncated:
            return ""
        text = self._decoder.decode(data.replace(b"\0", _SHOWN_NUL), last)
        size = len(text) if text.isascii() else len(text.encode())
        if size > self._room:
            text = text.encode()[: self._room].decode("utf-8", "ignore")
            self.truncated = True
        self._room -= size
        self.head += text[: _HEAD_CHARS - len(self.head)]
        return text


async def _carry(child: Child, stream: Stream, text: Text, sink: Sink, flood_bytes: int) -> None:
    """Hand on what is printed, even if nobody waits for the result any more: it ends when the child does."""
    with trio.CancelScope(shield=True):
        while data := await child.read(stream):
            if piece := text.feed(data):
                await sink(stream, piece)
            if text.total > flood_bytes:
                child.stop("flood")
                return
        if piece := text.feed(b"", last=True):
            await sink(stream, piece)


def _as_shell(returned: int) -> tuple[int, str | None]:
    """The exit code as a shell reports it, and the signal's name."""
    if returned >= 0:
        return returned, None
    known = {each.value: each.name for each in signal.Signals}
    return 128 - returned, known.get(-returned, f"signal {-returned}")
