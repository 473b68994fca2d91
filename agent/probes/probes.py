"""The pages: `/livez` for the kubelet, `/readyz` for people and alerts, `/metrics` for Prometheus.

Ready is an agent with a spool that can be written, a kubectl that runs, and an API that was reached lately.
"""

from dataclasses import dataclass

import trio

from agent.circuit import Circuit
from agent.errors import KubectlError, SpoolError, counted, size
from agent.kubectl import Kubectl
from agent.log import Log
from agent.metrics import Metrics
from agent.probes import gauges
from agent.probes.server import Page, listen, serve
from agent.spool import Counts, Spool

log = Log("probes")

AGAIN_SECONDS = 10.0  # after which kubectl is tried again when it didn't work
WRITE_AGAIN_SECONDS = 60.0  # for which a good answer of the spool is believed: each is one write to the disk
SPOOL_SECONDS = 2.0  # that a page waits for the spool
LATELY_SECONDS = 120.0  # the API is asked every 25 s or more often, so two answers may be missed

Check = tuple[bool, str]  # whether something that readiness depends on is well, and what was found


@dataclass(eq=False)
class Probes:
    """The probes' task. `draining` is set when the agent stops: from then on it isn't ready."""

    _address: tuple[str, int]
    _circuit: Circuit
    _metrics: Metrics
    _spool: Spool
    _kubectl: Kubectl
    _version = ""
    _trouble = "not looked at yet"
    _write_at = 0.0
    draining = False

    async def serve(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve, for ever. Started, with the port, once the address is open. Raises ConfigError if it can't be."""
        listeners = await listen(self._address)
        port = listeners[0].socket.getsockname()[1]
        log.info("probes are served", address=self._address[0], port=port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.try_kubectl, name="probes: kubectl")
            nursery.start_soon(serve, listeners, self._page, name="probes: server")
            task_status.started(port)

    async def try_kubectl(self) -> None:
        """Run kubectl again and again while it doesn't work: no page starts a process."""
        while True:
            if self._trouble or self._kubectl.trouble:
                try:
                    self._version, self._trouble = await self._kubectl.version(), ""
                    log.info("kubectl runs", version=self._version)
                except KubectlError as error:
                    if self._trouble != str(error):
                        log.error("not ready", check="kubectl", reason=error.problem, todo=error.hint or None)
                    self._trouble = str(error)
            await trio.sleep(AGAIN_SECONDS)

    async def _page(self, path: str, query: str) -> Page:
        match path:
            case "/livez":
                late = {task: trio.current_time() - until for task, until in self._metrics.alive_until.items()}
                said = [f"{task} should have turned {by:.0f} s ago\n" for task, by in late.items() if by > 0]
                return 503 if said else 200, "".join(said) or "ok\n"
            case "/readyz":
                checks, _ = await self.look()
                ready = all(ok for ok, _ in checks.values())
                listed = "".join(f"[{'+' if ok else '-'}] {name}: {words}\n" for name, (ok, words) in checks.items())
                in_short = ready and "verbose" not in query
                words = "ok\n" if in_short else f"{listed}{'ready' if ready else 'not ready'}\n"
                return 200 if ready else 503, words
            case "/metrics":
                return 200, await self._render()
            case _:
                return 404, "There are /livez, /readyz?verbose and /metrics.\n"

    async def look(self) -> tuple[dict[str, Check], Counts | None]:
        """Every check by its name, and the spool's figures if it gives any."""
        spool, counts = await self._look_at_spool()
        trouble = self._kubectl.trouble or self._trouble
        checks = {"spool": spool, "kubectl": (not trouble, trouble or self._version), "api": self._look_at_api()}
        return checks | ({"running": (False, "the agent is stopping")} if self.draining else {}), counts

    async def _look_at_spool(self) -> tuple[Check, Counts | None]:
        ok, words, counts = False, "doesn't answer", None
        with trio.move_on_after(SPOOL_SECONDS):
            try:
                counts = await self._spool.counts()
                if counts.full_because is None and trio.current_time() >= self._write_at:
                    await self._spool.try_write()
                    self._write_at = trio.current_time() + WRITE_AGAIN_SECONDS
                used = f"{size(counts.size_bytes)} of {size(counts.capacity_bytes)} used"
                ok, words = True, f"{used}, {counted(counts.pending, 'result')} waiting"
                if counts.full_because is not None:
                    ok, words = False, f"full, no commands are taken: {counts.full_because}; {words}"
            except SpoolError as error:
                words = str(error)
        return (ok, words), counts

    def _look_at_api(self) -> Check:
        last = self._circuit.last_success
        if last is None:
            ok, words = False, "not reached yet"
        else:
            seconds = trio.current_time() - last
            ok, words = seconds <= LATELY_SECONDS, f"answered {seconds:.0f} s ago"
        if self._circuit.down:
            words += f"; away for {self._circuit.seconds:.0f} s: {self._circuit.reason}"
        return ok, words

    async def _render(self) -> str:
        checks, counts = await self.look()
        well = {name: int(ok) for name, (ok, _) in checks.items()}
        agent = gauges.of_agent(self._version, len(self._kubectl.children), well, self._circuit, trio.current_time())
        spool = gauges.of_spool(counts, self._spool.recovery)
        return "".join((self._metrics.render(), *agent, *spool, *gauges.of_process()))
