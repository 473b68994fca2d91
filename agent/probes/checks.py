"""What readiness depends on: a spool that can be written, a kubectl that runs, an API that was reached lately."""

from dataclasses import dataclass

import trio

from agent.circuit import Breaker
from agent.errors import KubectlError, SpoolError
from agent.kubectl import Kubectl
from agent.log import Log
from agent.spool import Counts, Spool

log = Log("probes")

AGAIN_SECONDS = 10.0
"""How soon kubectl is tried again when it didn't work."""

WRITE_AGAIN_SECONDS = 60.0
"""How long a good answer of the spool is believed. Each is one write to the disk."""

SPOOL_SECONDS = 2.0
"""How long a page waits for the spool."""

LATELY_SECONDS = 120.0
"""The API is asked every 25 s or more often, so two answers may be missed."""


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check: `words` say what was found."""

    name: str
    ok: bool
    words: str


class Checks:
    """All that `/readyz` names."""

    def __init__(self, breaker: Breaker, spool: Spool, kubectl: Kubectl) -> None:
        self.kubectl_version = ""
        self._breaker = breaker
        self._spool = spool
        self._write_at = trio.current_time()
        self._kubectl = kubectl
        self._ran = Check("kubectl", ok=False, words="not looked at yet")

    async def run(self) -> None:
        """Run kubectl until it works: no page starts a process. From then on commands tell whether it can be started."""
        while not self._ran.ok:
            before = self._ran
            try:
                self.kubectl_version = await self._kubectl.version()
            except KubectlError as error:
                self._ran = Check("kubectl", ok=False, words=str(error))
                if self._ran != before:
                    log.error("not ready", check="kubectl", reason=error.problem, todo=error.hint or None)
                await trio.sleep(AGAIN_SECONDS)
            else:
                self._ran = Check("kubectl", ok=True, words=self.kubectl_version)
                log.info("kubectl runs", version=self.kubectl_version)

    async def look(self) -> tuple[list[Check], Counts | None]:
        """Every check, and the spool's figures if it gives any."""
        spool, counts = await self._look_at_spool()
        trouble = self._kubectl.trouble
        kubectl = self._ran if trouble is None else Check("kubectl", ok=False, words=trouble)
        return [spool, kubectl, self._look_at_api()], counts

    async def _look_at_spool(self) -> tuple[Check, Counts | None]:
        ok, words, counts = False, "doesn't answer", None
        with trio.move_on_after(SPOOL_SECONDS):
            try:
                counts = await self._spool.counts()
                if counts.full_because is None and trio.current_time() >= self._write_at:
                    await self._spool.try_write()
                    self._write_at = trio.current_time() + WRITE_AGAIN_SECONDS
                used, most = counts.size_bytes / (1 << 20), counts.capacity_bytes / (1 << 20)
                ok, words = True, f"{used:.0f} of {most:.0f} MiB used, {counts.pending} results waiting"
                if counts.full_because is not None:
                    ok, words = False, f"full, no commands are taken: {counts.full_because}; {words}"
            except SpoolError as error:
                words = str(error)
        return Check("spool", ok, words), counts

    def _look_at_api(self) -> Check:
        last = self._breaker.last_success
        if last is None:
            ok, words = False, "not reached yet"
        else:
            seconds = trio.current_time() - last
            ok, words = seconds <= LATELY_SECONDS, f"answered {seconds:.0f} s ago"
        if self._breaker.down:
            words += f"; away for {self._breaker.seconds:.0f} s: {self._breaker.reason}"
        return Check("api", ok, words)
