"""A real kubectl between an empty folder and a recording API server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.whole.guard.apiserver import ApiServer

TOKEN = "sha256~not-a-real-token"
FIRST = Path(sys.executable).parent / "kubectl"  # from the wheel in requirements-dev.txt
KUBECTLS = [FIRST, *(Path(path) for path in os.environ.get("GUARD_KUBECTLS", "").split(":") if path)]
"""`GUARD_KUBECTLS=/path/to/kubectl:/path/to/another` compares with those too."""


@dataclass(frozen=True)
class Ran:
    """What one kubectl did."""

    code: int
    out: str
    err: str
    asked: list[tuple[str, str, tuple[tuple[str, str], ...], str]]


class Bench:
    """Runs kubectl against one server, with a home, a cache and a working folder that nobody else uses."""

    def __init__(self, folder: Path, server: ApiServer, ca: Path | None = None) -> None:
        self.folder = folder
        self.server = server
        for name in ("home", "cache", "work", "path"):
            (folder / name).mkdir(parents=True)
        cluster = {"server": server.url} | ({"certificate-authority": str(ca)} if ca else {})
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": cluster}], "users": [{"name": "agent", "user": {"token": TOKEN}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "agent"}}],
        }  # fmt: skip
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(config))

    def environ(self, **more: str) -> dict[str, str]:
        """What kubectl finds in its environment."""
        return {
            "HOME": str(self.folder / "home"), "KUBECACHEDIR": str(self.folder / "cache"), "KUBECTL_KUBERC": "false",
            "KUBECONFIG": str(self.kubeconfig), "PATH": str(self.folder / "path"),
        } | more  # fmt: skip

    def run(
        self,
        args: Sequence[str],
        *,
        kubectl: Path = FIRST,
        environ: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> Ran:
        """Run one line; `before` stands before kubectl's own path (strace)."""
        self.server.clear()
        ended = subprocess.run(
            [*before, kubectl, *args],
            env=self.environ() if environ is None else dict(environ),
            cwd=self.folder / "work",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr, self.server.asked())


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """A bench whose kubectl already knows which types there are."""
    with ApiServer() as server:
        made = Bench(folder, server)
        made.run(["get", "pods"])
        yield made
