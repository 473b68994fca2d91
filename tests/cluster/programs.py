"""Where the control plane's programs are: `KUBEBUILDER_ASSETS`, or what `make controlplane` built."""

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


def _folders() -> list[Path]:
    build = Path(__file__).with_name("build.sh")
    built = subprocess.run([build, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return [Path(folder) for folder in (assets, built) if folder]


def find(name: str) -> Path:
    """One program, or the test is skipped with what to do about it."""
    folders = _folders()
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    pytest.skip(f"no {name} in {' or '.join(map(str, folders))}: `make controlplane` builds it with Go")


def kubectls() -> dict[str, Path]:
    """The agent's own kubectl, the control plane's, and that of the minor before: three in a row."""
    return {
        "newer": Path(sysconfig.get_path("scripts"), "kubectl"),
        "same": find("kubectl"),
        "older": find("kubectl-older"),
    }
