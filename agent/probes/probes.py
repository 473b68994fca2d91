"""The pages: `/livez` for the kubelet, `/readyz` for people and alerts, `/metrics` for Prometheus."""

from http import HTTPStatus

import trio

from agent.circuit import Breaker
from agent.errors import SpoolError
from agent.log import Log
from agent.metrics import CONTENT_TYPE, Metrics
from agent.probes import gauges
from agent.probes.checks import Check, Checks, Kubectl, Spool
from agent.probes.server import Page, Server, listen
from agent.spool import Counts
from agent.watchdog import Watchdog

log = Log("probes")

COUNTS_SECONDS = 2.0
"""How long a page waits for the spool's figures. It is shown without them otherwise."""

_INDEX = """\
/livez    the agent's tasks turn (independent of the API)
/readyz   it can work: spool, kubectl, API (?verbose for each)
/metrics  for Prometheus
"""


class Probes:
    """The task.

    Args:
        address: host and port.
        breaker: whether the API can be reached.
        metrics: what the tasks count.
        watchdog: whether the tasks turn.
        spool: what waits, and whether it can be written.
        kubectl: whether it runs.
    """

    def __init__(
        self,
        address: tuple[str, int],
        breaker: Breaker,
        metrics: Metrics,
        watchdog: Watchdog,
        spool: Spool,
        kubectl: Kubectl,
    ) -> None:
        self._address = address
        self._breaker = breaker
        self._metrics = metrics
        self._watchdog = watchdog
        self._spool = spool
        self._checks = Checks(breaker, spool, kubectl)

    @property
    def draining(self) -> bool:
        """Whether the agent is stopping; from then on it isn't ready."""
        return self._checks.draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._checks.draining = draining

    async def serve(self, *, task_status: trio.TaskStatus[list[int]] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve, for ever. Started once the address is open, with the ports.

        Raises:
            ConfigError: the address can't be opened.
        """
        listeners = await listen(self._address)
        ports = [listener.socket.getsockname()[1] for listener in listeners]
        server = Server(self._page)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._checks.run, name="probes: checks")
                for listener in listeners:
                    nursery.start_soon(server.accept, listener, name="probes: server")
                log.info("probes are served", address=self._address[0], port=ports[0])
                task_status.started(ports)
        finally:
            for listener in listeners:
                listener.socket.close()

    async def _page(self, path: str, query: str) -> Page:
        if path == "/livez":
            return self._livez()
        if path == "/readyz":
            return await self._readyz(verbose="verbose" in query)
        if path == "/metrics":
            return await self._render()
        return Page(HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND, _INDEX)

    def _livez(self) -> Page:
        silent = self._watchdog.silent()
        if not silent:
            return Page(HTTPStatus.OK, "ok\n")
        words = "".join(f"{task} hasn't turned for {seconds:.0f} s\n" for task, seconds in silent.items())
        return Page(HTTPStatus.SERVICE_UNAVAILABLE, words)

    async def _readyz(self, *, verbose: bool) -> Page:
        checks = self._checks.all(await self._counts(), trio.current_time())
        if all(check.ok for check in checks):
            return Page(HTTPStatus.OK, _listed(checks) + "ready\n" if verbose else "ok\n")
        return Page(HTTPStatus.SERVICE_UNAVAILABLE, _listed(checks) + "not ready\n")

    async def _render(self) -> Page:
        counts, now = await self._counts(), trio.current_time()
        checks = {check.name: int(check.ok) for check in self._checks.all(counts, now)}
        text = self._metrics.render(
            [
                *gauges.of_agent(self._checks.kubectl_version, checks),
                *gauges.of_api(self._breaker, now),
                *gauges.of_spool(counts, self._spool.recovery),
                *gauges.of_process(),
            ]
        )
        return Page(HTTPStatus.OK, text, CONTENT_TYPE)

    async def _counts(self) -> Counts | None:
        with trio.move_on_after(COUNTS_SECONDS):
            try:
                return await self._spool.counts()
            except SpoolError:
                return None
        return None


def _listed(checks: list[Check]) -> str:
    return "".join(f"[{'+' if check.ok else '-'}] {check.name}: {check.words}\n" for check in checks)
