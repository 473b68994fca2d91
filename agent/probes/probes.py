"""The pages: `/livez` for the kubelet, `/readyz` for people and alerts, `/metrics` for Prometheus."""

from http import HTTPStatus

import trio

from agent.circuit import Breaker
from agent.kubectl import Kubectl
from agent.log import Log
from agent.metrics import CONTENT_TYPE, Metrics
from agent.probes import gauges
from agent.probes.checks import Check, Checks
from agent.probes.server import Page, Server, listen
from agent.spool import Counts, Spool
from agent.watchdog import Watchdog

log = Log("probes")

_INDEX = """\
/livez    the agent's tasks turn (independent of the API)
/readyz   it can work: spool, kubectl, API (?verbose for each)
/metrics  for Prometheus
"""


class Probes:
    """The task. Once `draining` is set, because the agent is stopping, it isn't ready any more."""

    def __init__(
        self,
        address: tuple[str, int],
        breaker: Breaker,
        metrics: Metrics,
        watchdog: Watchdog,
        spool: Spool,
        kubectl: Kubectl,
    ) -> None:
        self.draining = False
        self._address = address
        self._breaker = breaker
        self._metrics = metrics
        self._watchdog = watchdog
        self._spool = spool
        self._kubectl = kubectl
        self._checks = Checks(breaker, spool, kubectl)

    async def serve(self, *, task_status: trio.TaskStatus[list[int]] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve, for ever. Started once the address is open, with the ports.

        Raises:
            ConfigError: the address can't be opened.
        """
        listeners = await listen(self._address)
        ports = [listener.socket.getsockname()[1] for listener in listeners]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._checks.run, name="probes: kubectl")
            await nursery.start(trio.serve_listeners, Server(self._page).serve, listeners, name="probes: server")
            log.info("probes are served", address=self._address[0], port=ports[0])
            task_status.started(ports)

    async def _page(self, path: str, query: str) -> Page:
        match path:
            case "/livez":
                silent = self._watchdog.silent()
                words = "".join(f"{task} hasn't turned for {seconds:.0f} s\n" for task, seconds in silent.items())
                return _said(not silent, words or "ok\n")
            case "/readyz":
                found, _ = await self._look()
                ready = all(check.ok for check in found)
                listed = "".join(f"[{'+' if check.ok else '-'}] {check.name}: {check.words}\n" for check in found)
                in_short = ready and "verbose" not in query
                return _said(ready, "ok\n" if in_short else f"{listed}{'ready' if ready else 'not ready'}\n")
            case "/metrics":
                return Page(HTTPStatus.OK, await self._render(), CONTENT_TYPE)
            case _:
                return Page(HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND, _INDEX)

    async def _look(self) -> tuple[list[Check], Counts | None]:
        found, counts = await self._checks.look()
        if self.draining:
            found.append(Check("running", ok=False, words="the agent is stopping"))
        return found, counts

    async def _render(self) -> str:
        found, counts = await self._look()
        version, checks = self._checks.kubectl_version, {check.name: int(check.ok) for check in found}
        families = (
            *gauges.of_agent(version, self._kubectl.running, checks),
            *gauges.of_api(self._breaker, trio.current_time()),
            *gauges.of_spool(counts, self._spool.recovery),
            *gauges.of_process(),
        )
        return self._metrics.render() + "".join(families)


def _said(well: bool, words: str) -> Page:
    return Page(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, words)
