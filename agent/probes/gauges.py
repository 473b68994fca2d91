"""The agent's state at this moment, as Prometheus reads it."""

import os
import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent import __version__
from agent.circuit import Circuit
from agent.metrics import by, family, labels
from agent.spool import Counts, Recovery

_STARTED = time.time()


def _gauge(name: str, words: str, value: float) -> str:
    return family(name, "gauge", words, {"": +value})  # a bool becomes 0 or 1


def of_agent(version: str, running: int, checks: Mapping[str, int], circuit: Circuit, now: float) -> Iterator[str]:
    """Which agent and kubectl these are, what `/readyz` would say, and the API at `now`, by the circuit's clock."""
    build = {labels(version=__version__, kubectl=version): 1}
    yield family("kubently_build_info", "gauge", "Versions of the agent and its kubectl.", build)
    yield _gauge("kubently_kubectl_running", "kubectl processes at the moment.", running)
    yield family("kubently_ready", "gauge", "What readiness depends on: 1 if it is well.", by("check", checks))
    up = circuit.last_success is not None and not circuit.down
    yield _gauge("kubently_api_up", "1 if the API answered when it was asked last.", up)
    yield _gauge("kubently_api_outage_seconds", "How long the API has been away; 0 if it isn't.", circuit.seconds)
    if circuit.last_success is not None:
        when = time.time() - (now - circuit.last_success)
        yield _gauge("kubently_api_last_success_timestamp_seconds", "When the API answered last.", round(when, 3))


def of_spool(counts: Counts | None, recovery: Recovery) -> Iterator[str]:
    """What waits, how much room there is, and what the last restart found. No counts: the spool doesn't answer."""
    yield _gauge("kubently_spool_up", "0 while the spool gives no figures.", counts is not None)
    found = {"rerun": recovery.rerun, "interrupted": recovery.interrupted, "gave_up": recovery.gave_up}
    words = "Unfinished commands that the start found, by what was done with them."
    yield family("kubently_recovered_commands_total", "counter", words, by("outcome", found))
    yield _gauge("kubently_spool_moved_aside", "1 if the start found the spool damaged.", bool(recovery.moved_aside))
    if counts is None:
        return
    states = {"accepted": counts.accepted, "running": counts.running, "spooled": counts.pending}
    states |= {"delivered": counts.delivered, "rejected": counts.rejected}
    yield family("kubently_spool_commands", "gauge", "Commands in the spool, by state.", by("state", states))
    yield _gauge("kubently_spool_pending_results", "Results not yet delivered.", counts.pending)
    yield _gauge("kubently_spool_pending_bytes", "Output of results not yet delivered.", counts.pending_bytes)
    oldest = counts.oldest_pending_age_seconds
    yield _gauge("kubently_spool_oldest_pending_age_seconds", "Age of the oldest result not yet delivered.", oldest)
    yield _gauge("kubently_spool_size_bytes", "Size of all the spool's files.", counts.size_bytes)
    yield _gauge("kubently_spool_capacity_bytes", "What they may have together.", counts.capacity_bytes)
    yield _gauge("kubently_spool_free_bytes", "Room left for output.", counts.free_bytes)
    yield _gauge("kubently_spool_full", "1 while no commands are taken for want of room.", bool(counts.full_because))


def of_process() -> Iterator[str]:
    """The names that Prometheus' own libraries use; without the children."""
    yield _gauge("process_start_time_seconds", "When the agent started.", round(_STARTED, 3))
    words, cpu = "Processor time of the agent itself.", {"": time.process_time()}
    yield family("process_cpu_seconds_total", "counter", words, cpu)
    try:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # Path would make an object of each
    except OSError:  # another system
        return
    yield _gauge("process_resident_memory_bytes", "Memory of the agent itself.", resident)
    yield _gauge("process_open_fds", "Open files.", files)
    yield _gauge("process_max_fds", "How many there may be.", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
