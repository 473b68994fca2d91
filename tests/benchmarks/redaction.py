"""How fast redaction passes clean text: objects and logs of the sample cluster, as a real kubectl prints them."""

import subprocess
import time
from pathlib import Path

from agent.kubectl.child import PIPE_BYTES
from agent.redact import Redactor
from tests.benchmarks.cluster import KUBECTL
from tests.benchmarks.figures import Figure, Report, median, quantile

MEGABYTES = 8
ROUNDS = 5
TYPES = "pods,deployments,replicasets,statefulsets,services,configmaps,serviceaccounts,events,nodes"


async def measure(report: Report, folder: Path, kubeconfig: Path) -> None:
    """Processor time a megabyte, for each kind of output."""
    for name, text in {"objects": objects(kubeconfig), "logs": logs(kubeconfig)}.items():
        pieces = _pieces(text)
        speeds = [_speed(pieces) for _ in range(ROUNDS)]
        report.add(
            Figure(
                f"redaction of clean {name}",
                "MB per CPU second",
                median(speeds),
                budget=50,
                at_least=True,
                low=quantile(speeds, 0.25),
                high=quantile(speeds, 0.75),
                count=ROUNDS,
            )
        )


def objects(kubeconfig: Path) -> str:
    """The cluster's objects, in each form in turn."""
    return "".join(
        [_kubectl(kubeconfig, "get", TYPES, "-A", "-o", form) for form in ("json", "yaml", "wide")]
        + [_kubectl(kubeconfig, "describe", "pods,deployments,nodes", "-A")]
    )


def logs(kubeconfig: Path) -> str:
    """What each pod says."""
    pods = _kubectl(kubeconfig, "get", "pods", "-A", "-o", "custom-columns=:.metadata.namespace,:.metadata.name")
    return "".join(
        _kubectl(kubeconfig, "logs", "-n", *line.split(), "--all-containers") for line in pods.splitlines() if line
    )


def _pieces(text: str) -> list[str]:
    """The text again and again, in pieces as they come from a pipe."""
    whole = text * (MEGABYTES * 1_000_000 // len(text) + 1)
    return [whole[at : at + PIPE_BYTES] for at in range(0, len(whole), PIPE_BYTES)]


def _speed(pieces: list[str]) -> float:
    redactor = Redactor()
    began = time.process_time()
    for piece in pieces:
        redactor.feed(piece)
    redactor.end()
    return sum(map(len, pieces)) / 1e6 / (time.process_time() - began)


def _kubectl(kubeconfig: Path, *args: str) -> str:
    return subprocess.run(
        [KUBECTL, "--kubeconfig", kubeconfig, *args], capture_output=True, text=True, check=False
    ).stdout
