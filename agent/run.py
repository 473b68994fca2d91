"""The agent's life: what is built, which tasks run, and in which order they stop.

    spool is opened                                             │ closed last
      └── maintenance, probes, signals        root nursery          │ cancelled when everything is drained
            └── uploader × 4              stage 3               │ cancelled when all is delivered, or at the deadline
                  └── executor × N        stage 2               │ cancelled when the journal is empty, or at its own
                        └── poller        stage 1               │ cancelled at once: nothing new is taken

Root tasks never end by themselves. If one fails, all end, the process exits with 1, and Kubernetes starts it again over
the same spool. A second signal stops at once: the spool holds what there is, as after a kill.
"""

import os
import random
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

import trio

from agent import __version__
from agent.circuit import Circuit, Trust
from agent.config import Config, unknown_variables
from agent.errors import AgentError, SpoolError, leaves
from agent.executor import Executor
from agent.kubectl import Kubectl
from agent.link import Link, open_link
from agent.link.proxy import proxy_shown
from agent.log import Log
from agent.maintenance import maintain
from agent.metrics import Metrics
from agent.model import Outcome, Result
from agent.policy import PolicyFile
from agent.poller import Poller
from agent.probes import Probes
from agent.spool import Limits, Spool, open_spool
from agent.uploader import Uploader

log = Log("agent")

Task = Callable[[], Awaitable[None]]

UPLOADERS = 4
"""How many results are sent at once: one of any size, the others small. If the API answers in 30 ms, 4 deliver 111
results/s and 1 delivers 30 (measured)."""
EXECUTORS_SHARE = 0.6  # of the drain is for running commands, the rest for delivering their results
LAST_WRITES_SECONDS = 3.0  # for tasks that store what they have; kubectl's own end, 2 s after SIGTERM, is part of it
STOPPED, FAILED, SIGNALLED = 0, 1, 128


class Stage:
    """Tasks in `root` that stop together, before the tasks that they hand over to."""

    def __init__(self, root: trio.Nursery, tasks: Mapping[str, Task]) -> None:
        self._running = {name: trio.CancelScope() for name in tasks}
        self._ended = trio.Event()
        for name, task in tasks.items():
            root.start_soon(self._run, name, task, name=name)

    async def _run(self, name: str, task: Task) -> None:
        try:
            with self._running[name]:
                await task()
        finally:
            del self._running[name]
            if not self._running:
                self._ended.set()

    async def stop(self, within: float = LAST_WRITES_SECONDS) -> None:
        """Cancel the tasks, and wait until they have ended: not for ever, as one may try to write to a full disk."""
        for scope in self._running.values():
            scope.cancel()
        with trio.move_on_after(within):
            await self._ended.wait()


class Agent:
    """Everything that makes up a running agent, built once."""

    def __init__(self, config: Config, kubectl: Kubectl, policies: PolicyFile, spool: Spool, link: Link) -> None:
        self._config = config
        self._kubectl = kubectl
        self._spool = spool
        self._link = link
        self.metrics = Metrics()
        what, whose = ("API", "API's status") if link.pulls else ("stream of commands", "API")
        shared = (random.random, lambda: spool.pending, link.pause_seconds)
        self.circuit = Circuit(*shared, what)  # the poller's: an agent that can't get commands isn't ready
        self._trust = Trust(Circuit(*shared, whose), self.circuit, link.recognise)
        self._poller = Poller(link, spool, self.circuit, self._trust, self.metrics)
        longest = config.command_timeout_max
        self._executor = Executor(spool, kubectl, policies, self.metrics, count=config.executors, timeout_max=longest)
        self._uploader = Uploader(link, spool, self._trust, self.metrics, random.random)
        self._policies = policies
        self._probes = Probes(config.health_address, self.circuit, self.metrics, spool, kubectl)

    async def run(self) -> None:
        """Run until a signal has been obeyed, or a task fails."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as root:
                await root.start(self._probes.serve, name="probes")
                root.start_soon(maintain, self._spool, self._policies.current, self.metrics, name="maintenance")
                root.start_soon(self._link.run, name="link")
                senders = {f"uploader {n + 1}": partial(self._uploader.run, small=n > 0) for n in range(UPLOADERS)}
                executors = {f"executor {n}": self._executor.run for n in range(1, self._config.executors + 1)}
                uploading = Stage(root, senders)
                executing = Stage(root, executors)
                polling = Stage(root, {"poller": self._poller.run})
                try:
                    name = signal.Signals(await anext(signals)).name
                    log.info("signal, draining", signal=name, within_seconds=self._config.drain_seconds)
                    root.start_soon(self._end_at_once, signals, name="second signal")
                    await self._drain(polling, executing, uploading)
                finally:  # even if a task has failed: the others write down what they have, if the disk takes it now
                    self._spool.patient = False
                root.cancel_scope.cancel()

    async def _end_at_once(self, signals: AsyncIterator[int]) -> None:
        number = await anext(signals)
        log.warning("second signal, stopping at once", signal=signal.Signals(number).name)
        self._kubectl.kill()
        os._exit(SIGNALLED + number)

    async def _drain(self, polling: Stage, executing: Stage, uploading: Stage) -> None:
        seconds, began = self._config.drain_seconds, trio.current_time()
        self._probes.draining = True
        await polling.stop(seconds * EXECUTORS_SHARE)  # an answer that has begun may hold commands
        self._trust.aside = True
        with trio.move_on_at(began + seconds * EXECUTORS_SHARE):
            await self._spool.finished.wait()
        await executing.stop()
        await self._answer_unstarted()
        with trio.move_on_at(began + seconds):
            await self._spool.drained.wait()
        await uploading.stop()
        await self._tell_what_is_left()

    async def _answer_unstarted(self) -> None:
        """Answer commands that never started: the volume may go with the pod, and somebody is waiting."""
        # A full disk must not hold up the stop: other results may still be delivered.
        with trio.move_on_after(1), suppress(SpoolError):
            while (claim := self._spool.claim()) is not None:
                result = Result(Outcome.INTERRUPTED, error="The agent was stopped before this was started. Ask again.")
                await self._spool.finish(claim.command.id, result)
                self.metrics.finished(result)

    async def _tell_what_is_left(self) -> None:
        if count := self._spool.unfinished + self._spool.pending:
            says = "stopped with commands unanswered: they go with the volume, or are answered at the next start"
            log.warning(says, count=count, command_ids=await self._spool.unanswered(20))
        else:
            log.info("drained, everything is delivered")


async def run(config: Config) -> int:
    """Build the agent and run it. Returns the exit code. Raises AgentError if it couldn't even start."""
    kubectl = await Kubectl.prepare(config.kubectl, config.kubeconfig, config.kubectl_home)
    policies = PolicyFile(config.policy_file)
    link = open_link(config, lambda: policies.current().capabilities())
    limits = Limits(
        max_bytes=config.spool_max_bytes,
        retention_seconds=config.retention_seconds,
        journal=config.executors + link.journal,
        output_bytes=config.max_output_bytes,
    )
    log.info("starting", version=__version__, **config.effective(), proxy=proxy_shown(config.api_url))
    if unknown := unknown_variables(os.environ):
        todo = "`kubently-agent check` may know what is meant"
        log.warning("unknown variables, nothing reads them", names=unknown, todo=todo)
    async with open_spool(config.spool_path, limits) as spool, aclosing(link):
        log.info("spool opened", results_waiting=spool.pending)
        try:
            await Agent(config, kubectl, policies, spool, link).run()
        except Exception as failure:  # the last resort: one clear line and an exit code, whatever failed
            for sentence in dict.fromkeys(map(_sentence, leaves(failure))):  # several may have failed alike
                log.error("stopping, a task failed", reason=sentence)
            return FAILED
    log.info("stopped")
    return STOPPED


def _sentence(error: BaseException) -> str:
    """The agent's own errors explain themselves. Any other is a bug, and a report needs the place where it happened."""
    if isinstance(error, AgentError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    at = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames[-3:]))
    return f"{type(error).__name__}: {error} (at {at})"
