"""What readiness depends on: a spool that can be written, a kubectl that runs, an API that was reached lately.

The first two are tried in the background, now and then: a request must never wait for a disk or start a process.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from agent.circuit import Breaker
from agent.errors import KubectlError, SpoolFull
from agent.log import Log
from agent.spool import Counts, Recovery

log = Log("probes")

AGAIN_SECONDS = 600.0
"""How long a good answer of kubectl is believed. Each costs 60 ms of processor time."""

SPOOL_AGAIN_SECONDS = 60.0
"""How long a good answer of the spool is believed. Each is one write to the disk."""

FAILED_AGAIN_SECONDS = 10.0
"""How soon a bad answer is checked again."""

SLOW_SECONDS = 15.0
"""A check that takes longer counts as failed."""

LATELY_SECONDS = 120.0
"""The API is asked every 25 s or more often, so two answers may be missed."""


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check: `words` say what was found."""

    name: str
    ok: bool
    words: str


class WatchedSpool(Protocol):
    """What is needed of the spool."""

    recovery: Recovery

    async def counts(self) -> Counts: ...  # noqa: D102

    async def try_write(self) -> None:
        """Write something small, durably. Raises SpoolFull, or SpoolError: then the agent ends."""


class WatchedKubectl(Protocol):
    """What is needed of kubectl."""

    trouble: str | None

    @property
    def running(self) -> int: ...  # noqa: D102

    async def version(self) -> str:
        """Run it. Raises KubectlError."""


class Watch:
    """One thing that is tried again and again.

    Args:
        name: for the page and the log.
        attempt: try it; returns a few words, raises KubectlError or SpoolFull.
        again_seconds: until the next time, if it worked.
    """

    def __init__(self, name: str, attempt: Callable[[], Awaitable[str]], again_seconds: float) -> None:
        self._name = name
        self._attempt = attempt
        self._again_seconds = again_seconds
        self._began: float | None = None
        self._last = Check(name, ok=False, words="not looked at yet")

    async def run(self) -> None:
        """Try, for ever."""
        while True:
            self._began = trio.current_time()
            try:
                found = Check(self._name, ok=True, words=await self._attempt())
            except (KubectlError, SpoolFull) as error:
                found = Check(self._name, ok=False, words=str(error))
                if found != self._last:
                    log.error("not ready", check=self._name, reason=error.problem, todo=error.hint or None)
            self._last = found
            self._began = None
            await trio.sleep(self._again_seconds if found.ok else FAILED_AGAIN_SECONDS)

    @property
    def check(self) -> Check:
        """What was found last. A try that doesn't come back, as with a dead disk, is a failure too."""
        if self._began is not None and (seconds := trio.current_time() - self._began) > SLOW_SECONDS:
            return Check(self._name, ok=False, words=f"hasn't answered for {seconds:.0f} s")
        return self._last


class Checks:
    """All that `/readyz` names."""

    def __init__(self, breaker: Breaker, spool: WatchedSpool, kubectl: WatchedKubectl) -> None:
        self.kubectl_version = ""
        self._breaker = breaker
        self._spool = spool
        self._kubectl = kubectl
        self._written = Watch("spool", self._write, SPOOL_AGAIN_SECONDS)
        self._ran = Watch("kubectl", self._run_kubectl, AGAIN_SECONDS)

    async def run(self) -> None:
        """Look at what takes time, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._written.run, name="probes: spool")
            nursery.start_soon(self._ran.run, name="probes: kubectl")

    def all(self, counts: Counts | None, now: float) -> list[Check]:
        """Every check. `counts` is None if the spool didn't give them; `now` is the clock of the breaker."""
        return [self._check_spool(counts), self._check_kubectl(), self._check_api(now)]

    async def _write(self) -> str:
        await self._spool.try_write()
        return "writable"

    async def _run_kubectl(self) -> str:
        # Where some run already, one more could be one too many for the pod's memory, and would say nothing new.
        if not (self.kubectl_version and self._kubectl.running):
            version = await self._kubectl.version()
            if version != self.kubectl_version:
                log.info("kubectl runs", version=version)
            self.kubectl_version = version
        return self.kubectl_version

    def _check_spool(self, counts: Counts | None) -> Check:
        written = self._written.check
        if not written.ok:
            return written
        if counts is None:
            return Check("spool", ok=False, words="doesn't answer")
        words = f"{_mib(counts.size_bytes)} of {_mib(counts.capacity_bytes)} MiB used, {counts.pending} results waiting"
        if counts.full_because is not None:
            return Check("spool", ok=False, words=f"full, no commands are taken: {counts.full_because}; {words}")
        return Check("spool", ok=True, words=words)

    def _check_kubectl(self) -> Check:
        if self._kubectl.trouble is not None:
            return Check("kubectl", ok=False, words=self._kubectl.trouble)
        return self._ran.check

    def _check_api(self, now: float) -> Check:
        last = self._breaker.last_success
        seconds = None if last is None else now - last
        ok = seconds is not None and seconds <= LATELY_SECONDS
        words = "not reached yet" if seconds is None else f"answered {seconds:.0f} s ago"
        if self._breaker.down:
            words += f"; away for {self._breaker.seconds:.0f} s: {self._breaker.reason}"
        return Check("api", ok=ok, words=words)


def _mib(size: int) -> int:
    return round(size / (1 << 20))
