"""`Kubectl`: run one command line, stream what it prints, say how it ended."""

import codecs
import json
import re
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path

import trio

from agent.errors import KubectlError
from agent.kubectl.child import Child
from agent.kubectl.environment import Environment
from agent.model import Outcome, Result, Stream

Sink = Callable[[Stream, str], Awaitable[None]]  # takes the printed text in pieces: what up to `PIPE_BYTES` decode to

STDERR_BYTES = 64 * 1024  # more of stderr helps nobody, and isn't kept
FLOOD_CAPS, FLOOD_BYTES = (
    32,
    64 * 1024 * 1024,
)  # so many times the cap, and at least so much, ends a child: nobody reads it
WEIGHED_SECONDS = 0.1  # how often memory is checked: at the manifest's 0.2 of a core a kubectl grows by 2 MB meanwhile
ASK_SECONDS = 10.0  # for kubectl to tell its version or its kubeconfig's context

_ASK_FOR_LESS = "Ask for less: one namespace, a selector (-l), one object, or only names (-o name)."
CROWDED = (
    "kubectl was ended: its answer and those of others that ran at the same time were too large for the agent's memory "
    f"together. Ask again when they are done. {_ASK_FOR_LESS}"
)
_OUT_OF_MEMORY = re.compile(r"^fatal error: .*(out of memory|cannot allocate memory)", re.MULTILINE)  # Go's own words
_GO_FATAL = 2  # the exit code of a Go program that can't go on

_End = tuple[Outcome, str | None]  # how a command ended, and the agent's sentence about it


class Kubectl:
    """The kubectl of this agent, ready to run."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.path = environment.program
        self.children: set[Child] = set()  # those that run now
        self.trouble: str | None = None  # why the last child couldn't be started; None if it could

    @classmethod
    async def prepare(cls, kubectl: str, kubeconfig: Path | None, home: Path) -> "Kubectl":
        """By `Environment.prepare`, with its errors. The context is the one that the kubeconfig names today."""
        made = cls(Environment.prepare(kubectl, kubeconfig, home))
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
    ) -> Result:
        """Run one command line that the guard has made (without the program), and return when nothing of it is left.

        stdout, up to `max_bytes` of UTF-8, and stderr go to `sink` while they are printed. It is awaited for each
        piece, so that a slow one slows the child down, and its end too; nothing heaps up. After `timeout` seconds, when
        the caller is cancelled and when the sink fails, the whole group is asked to end (SIGTERM) and `grace` seconds
        later killed; what had been printed by then still reaches the sink, and only then does a Cancelled or the sink's
        error travel on. Raises KubectlError if the child can't be started.
        """
        began = trio.current_time()
        self.trouble = None
        try:
            child = Child(self.environment, argv)
        except KubectlError as unstartable:
            self.trouble = str(unstartable)
            raise
        texts: dict[Stream, Text] = {"stdout": (stdout := Text(max_bytes)), "stderr": Text(STDERR_BYTES)}
        said = ""

        async def hand_on(printed: Iterable[tuple[Stream, bytes]]) -> None:
            nonlocal said
            for stream, data in printed:
                if piece := texts[stream].feed(data):
                    said += piece if stream == "stderr" else ""
                    with trio.CancelScope(shield=True):  # even if nobody waits for the result any more
                        await sink(stream, piece)

        self.children.add(child)
        why, weigh_at = None, began + WEIGHED_SECONDS
        try:
            while not child.gone and (why := _too_much(began, timeout, stdout.total, max_bytes)) is None:
                with trio.move_on_at(min(began + timeout, weigh_at)):
                    await child.changed()
                await hand_on(child.read())
                if trio.current_time() >= weigh_at:
                    weigh_at = trio.current_time() + WEIGHED_SECONDS
                    self._weigh()
        finally:
            returned, last = await child.end(grace)
            self.children.discard(child)
            await hand_on(last)
        if child.crowded:
            why = Outcome.FAILED, CROWDED
        code = 128 - returned if returned < 0 else returned
        outcome, error = why or _by_itself(returned, said)
        return Result(outcome, code, error, output_bytes=stdout.total, truncated=stdout.truncated)

    def kill(self) -> None:
        """Kill all children at once, for an agent that ends at once."""
        for child in self.children:
            child.signal(signal.SIGKILL)

    async def ask(self, argv: Sequence[str], seconds: float) -> tuple[Result, str, str]:
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
        if not ended.success:
            how = "didn't end in time" if ended.outcome is Outcome.TIMED_OUT else f"ended with code {ended.exit_code}"
        said = " ".join(stderr.split())[:300]
        hint = "Name a kubectl that works on this machine with KUBENTLY_KUBECTL."
        problem = f"{self.path} isn't usable: `{' '.join(argv)}` {how}{': ' if said else ''}{said}"
        raise KubectlError(problem if said else f"{problem}.", "" if said else hint)

    def _weigh(self) -> None:
        """End the largest if all together hold more than the container has. A single one has its own limit."""
        held = {child: child.held_bytes() for child in self.children} if len(self.children) > 1 else {}
        if sum(held.values()) > self.environment.data_bytes:
            largest = max(held, key=held.__getitem__)
            largest.crowded = True
            largest.signal(signal.SIGKILL)


def _too_much(began: float, timeout: float, printed: int, max_bytes: int) -> _End | None:
    """Why a command must be ended: its time is up, or nobody will read what it prints."""
    if trio.current_time() >= began + timeout:
        limit = f"after {timeout:g} s, the command's time limit"
        return Outcome.TIMED_OUT, f"kubectl was ended {limit}. What it had printed is kept."
    if printed > max(FLOOD_CAPS * max_bytes, FLOOD_BYTES):
        flood = f"it had printed {printed >> 20} MiB and went on"
        return Outcome.FAILED, f"kubectl was ended: {flood}. The beginning is kept. {_ASK_FOR_LESS}"
    return None


def _by_itself(returned: int, said: str) -> _End:
    """How it ended, if the agent didn't end it."""
    if returned < 0:
        guess = ": probably by the kernel, for want of memory" if returned == -signal.SIGKILL else ""
        number = f"signal {-returned} ({signal.strsignal(-returned)})"
        return Outcome.FAILED, f"kubectl was ended by {number}, not by the agent{guess}."
    if returned == _GO_FATAL and _OUT_OF_MEMORY.search(said):
        return Outcome.FAILED, f"kubectl ran out of memory: the answer was too large for it. {_ASK_FOR_LESS}"
    return Outcome.FAILED if returned else Outcome.SUCCEEDED, None


class Text:
    """One stream as text: what isn't UTF-8, and NUL, become U+FFFD, so that every database, JSON reader and terminal
    can hold it. Nothing is ever cut inside a character.
    """

    def __init__(self, max_bytes: int) -> None:
        self.total = 0  # bytes fed, those beyond the cap included
        self.truncated = False  # whether something was beyond the cap
        self._room = max_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> str:
        """The text of `data`, as far as the cap (in UTF-8 bytes of that text) allows. The bytes of an unfinished
        character are held back until the next call; no bytes are the end.
        """
        self.total += len(data)
        if self.truncated:
            return ""
        text = self._decoder.decode(data.replace(b"\0", "\ufffd".encode()), final=not data)
        size = len(text) if text.isascii() else len(text.encode())
        if size > self._room:
            text = text.encode()[: self._room].decode("utf-8", "ignore")
            self.truncated = True
        self._room -= size
        return text
