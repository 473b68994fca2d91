"""What `kubectl kustomize` makes of the manifests, and of overlays written on the spot."""

import os
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

ROOT = Path(__file__).parents[2] / "kustomize"
KUBECTL = Path(sysconfig.get_path("scripts"), "kubectl")
COMPONENTS = sorted(path.parent.name for path in ROOT.glob("components/*/kustomization.yaml"))
OVERLAYS = sorted(path.parent.name for path in ROOT.glob("overlays/*/kustomization.yaml"))

CLUSTER_SCOPED = {"Namespace", "ClusterRole", "ClusterRoleBinding"}


def overlay(folder: Path, *, components: Sequence[str] = (), namespace: str = "kubently", more: str = "") -> Path:
    """Writes an overlay over the base into `folder`, as a user would have it beside the repo."""
    root = os.path.relpath(ROOT, folder)
    lines = [
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        f"namespace: {namespace}",
        f"resources: [{root}/base]",
        f"components: [{', '.join(f'{root}/components/{name}' for name in components)}]",
    ]
    (folder / "kustomization.yaml").write_text("\n".join(lines) + "\n" + more)
    return folder


def build(folder: Path, kubectl: Path = KUBECTL, environ: Mapping[str, str] | None = None) -> list[Manifest]:
    """The manifests of a folder. Fails the test if kubectl has anything to say about it."""
    env = os.environ | (environ or {})
    done = subprocess.run([kubectl, "kustomize", folder], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


def of_kind(manifests: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    """Those of the kinds, in the order of the build."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def the(manifests: Iterable[Manifest], kind: str) -> Manifest:
    """The only one of its kind."""
    (only,) = of_kind(manifests, kind)
    return only


def agent(manifests: Iterable[Manifest]) -> Manifest:
    """The agent's container."""
    (container,) = the(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(container)
