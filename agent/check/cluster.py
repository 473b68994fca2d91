"""kubectl, and the cluster's API server as kubectl reaches it."""

import json
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.check.findings import Area
from agent.config import Config
from agent.errors import KubectlError
from agent.kubectl import Kubectl
from agent.model import Stream

CHECKS = ("kubectl", "API server", "versions")

SERVER_SECONDS = 15.0
_OUTPUT_BYTES = 64 * 1024
_MINOR = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Said:
    """How one kubectl ended and what it printed."""

    code: int
    stdout: str
    stderr: str
    timed_out: bool

    @property
    def words(self) -> str:
        """Its complaint in one short line: the last one, where kubectl says what it comes to."""
        if self.timed_out:
            return "no answer in time"
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1][:240] if lines else f"it ended with code {self.code}"


class Cluster:
    """kubectl, run one at a time: four of the agent's own may be running beside, in the same memory limit."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    async def ask(self, *argv: str) -> Said:
        """Run one command line, for `SERVER_SECONDS` at most."""
        printed: dict[Stream, list[str]] = {"stdout": [], "stderr": []}

        async def keep(stream: Stream, text: str) -> None:
            printed[stream].append(text)

        try:
            ended = await self._kubectl.run(argv, timeout=SERVER_SECONDS, max_bytes=_OUTPUT_BYTES, sink=keep, grace=1.0)
        except KubectlError as error:  # it could be started a moment ago
            return Said(126, "", str(error), timed_out=False)
        return Said(ended.code, "".join(printed["stdout"]), "".join(printed["stderr"]), ended.timed_out)


@asynccontextmanager
async def open_cluster(area: Area, config: Config) -> AsyncIterator[Cluster | None]:
    """Open kubectl with surroundings of its own, so that a running agent's aren't touched; None if it is no good."""
    try:
        folder = _private_folder(config)
    except OSError as error:
        area.failed(
            "kubectl",
            f"no folder for its cache and kubeconfig: {error.strerror}",
            "Mount a writable volume at /tmp, or name one with TMPDIR.",
        )
        yield None
        return
    with folder as name:
        home = Path(name) / "kubectl"
        try:
            kubectl = Kubectl.prepare(kubectl=config.kubectl, kubeconfig=config.kubeconfig, home=home)
            version = await kubectl.version()
        except KubectlError as error:
            area.failed("kubectl", *_no_kubectl(str(error)))
            yield None
        else:
            area.passed("kubectl", f"{version}, {kubectl.path}")
            cluster = Cluster(kubectl)
            yield cluster if await _server(area, cluster, version) else None


def _private_folder(config: Config) -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="kubently-check-")
    except OSError:
        return tempfile.TemporaryDirectory(prefix="kubently-check-", dir=config.spool_path.parent)


def _no_kubectl(sentence: str) -> tuple[str, str]:
    """The error's sentence in two: what is wrong, and what to do."""
    for word in ("install kubectl", "name a kubeconfig with", "correct KUBENTLY_KUBECTL", "chmod +x"):
        head, found, tail = sentence.partition(f": {word}")
        if found:
            return head, f"{word[0].upper()}{word[1:]}{tail}"
    head, found, tail = sentence.partition(". Name ")
    if found:
        return head, f"Name {tail}"
    if "kubeconfig" in sentence or "service account" in sentence:
        return (
            sentence,
            "kubectl finds the cluster through it: see KUBENTLY_KUBECONFIG, and automountServiceAccountToken.",
        )
    return sentence, "Name a kubectl that works on this machine with KUBENTLY_KUBECTL."


async def _server(area: Area, cluster: Cluster, version: str) -> bool:
    said = await cluster.ask("version", "--output=json", "--request-timeout=10s")
    try:
        server = str(json.loads(said.stdout)["serverVersion"]["gitVersion"])
    except (ValueError, LookupError, TypeError):
        area.failed("API server", said.words, _server_hint(said.words))
        return False
    area.passed("API server", f"{server} answers")
    _compare(area, version, server)
    return True


def _server_hint(words: str) -> str:
    lower = words.lower()
    if "unauthorized" in lower or "logged in" in lower:
        return "The service account's token (or the kubeconfig's user) isn't accepted: has the account been made anew?"
    if "certificate" in lower or "x509" in lower:
        return "The cluster's CA in the service account (or in the kubeconfig) isn't the API server's."
    if "forbidden" in lower:
        return "Even /version is forbidden: bind system:public-info-viewer, which Kubernetes does by default."
    if "no such host" in lower:
        return "The host in the kubeconfig doesn't resolve here."
    return "The API server can't be reached from here: look at network policies, and at the kubeconfig's server."


def _compare(area: Area, client: str, server: str) -> None:
    ours, theirs = _MINOR.match(client), _MINOR.match(server)
    if ours is None or theirs is None:
        area.skip("versions", f"not compared: {client} and {server}")
        return
    apart = (int(ours[1]) - int(theirs[1])) * 1000 + int(ours[2]) - int(theirs[2])
    words = f"kubectl {ours[1]}.{ours[2]}, server {theirs[1]}.{theirs[2]}"
    if abs(apart) <= 1:
        area.passed("versions", words)
        return
    area.warned(
        "versions",
        f"{words}: more than one minor version apart",
        "Kubernetes supports one minor version of difference. Most reading works; for the rest use an image whose "
        f"kubectl is {theirs[1]}.{theirs[2]}.",
    )


def asked(argv: Sequence[str]) -> str:
    """A command line for people."""
    return " ".join(("kubectl", *argv))
