"""kubectl, and the cluster's API server as kubectl reaches it."""

import json
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.check.findings import Area
from agent.config import Config
from agent.errors import AgentError, KubectlError
from agent.kubectl import Environment, Kubectl
from agent.model import Stream

CHECKS = ("kubectl", "API server", "versions")

SERVER_SECONDS = 15.0
_OUTPUT_BYTES = 64 * 1024
_MINOR = re.compile(r"v?(\d+)\.(\d+)")

_HINTS = {
    "unauthorized|logged in": "The service account's token (or the kubeconfig's user) isn't accepted: "
    "has the account been made anew?",
    "certificate|x509": "The cluster's CA in the service account (or in the kubeconfig) isn't the API server's.",
    "forbidden": "Even /version is forbidden: bind system:public-info-viewer, which Kubernetes does by default.",
    "no such host": "The host in the kubeconfig doesn't resolve here.",
    "": "The API server can't be reached from here: look at network policies, and at the kubeconfig's server.",
}
"""By what kubectl says."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one kubectl printed, and its complaint: the last line, where it says what it comes to."""

    stdout: str
    words: str


class Cluster:
    """kubectl, run one at a time: four of the agent's own may be running beside, in the same memory limit."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    async def ask(self, *argv: str) -> Said:
        """Run one command line, for `SERVER_SECONDS` at most."""
        printed: dict[Stream, str] = {"stdout": "", "stderr": ""}

        async def keep(stream: Stream, text: str) -> None:
            printed[stream] += text

        try:
            ended = await self._kubectl.run(argv, timeout=SERVER_SECONDS, max_bytes=_OUTPUT_BYTES, sink=keep, grace=1.0)
        except KubectlError as error:  # it could be started a moment ago
            return Said("", error.problem)
        lines = [line.strip() for line in printed["stderr"].splitlines() if line.strip()]
        words = lines[-1][:240] if lines else f"it ended with code {ended.code}"
        return Said(printed["stdout"], "no answer in time" if ended.why else words)


@asynccontextmanager
async def open_cluster(area: Area, config: Config) -> AsyncIterator[Cluster | None]:
    """Open kubectl with folders of its own, so that a running agent's aren't touched; None if it is no good."""
    try:
        folder = _private_folder(config)
    except OSError as error:
        hint = "Mount a writable volume at /tmp, or name one with TMPDIR."
        area.failed("kubectl", AgentError(f"no folder for its cache and kubeconfig: {error.strerror}", hint))
        yield None
        return
    with folder as name:
        try:
            kubectl = Kubectl(
                Environment.prepare(kubectl=config.kubectl, kubeconfig=config.kubeconfig, home=Path(name) / "kubectl")
            )
            version = await kubectl.version()
        except KubectlError as error:
            area.failed("kubectl", error)
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


async def _server(area: Area, cluster: Cluster, version: str) -> bool:
    said = await cluster.ask("version", "--output=json", "--request-timeout=10s")
    try:
        server = str(json.loads(said.stdout)["serverVersion"]["gitVersion"])
    except (ValueError, LookupError, TypeError):
        hint = next(hint for words, hint in _HINTS.items() if re.search(words, said.words, re.IGNORECASE))
        area.failed("API server", AgentError(said.words, hint))
        return False
    area.passed("API server", f"{server} answers")
    _compare(area, version, server)
    return True


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
