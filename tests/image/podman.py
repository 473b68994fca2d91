"""The image as podman runs it, with what the manifests say about its pod."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent import __version__

IMAGE = os.environ.get("IMAGE", f"localhost/kubently-agent:{__version__}")
ROOT = Path(__file__).parents[2]

MACHINE = ["--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
"""Host network: the API server and the central API of the tests are on loopback. The limits are those that a machine
without a service manager can give."""
if "ARCH" in os.environ:  # another architecture's image under an emulator, see stand_ins.sh
    MACHINE.append(f"--arch={os.environ['ARCH']}")


def podman(*args: str | Path, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    runtime = ["--runtime", "runc"] if shutil.which("runc") else []
    done = subprocess.run(
        ["podman", *runtime, *args],
        cwd=tempfile.gettempdir(),  # where its monitor leaves a note when a container runs out of memory
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    if check:
        assert done.returncode == 0, f"podman {args[0]}: {done.stderr}"
    return done


def require_image() -> None:
    """Skips the test unless this machine can run the image, and the image is of this very code."""
    if shutil.which("podman") is None:
        pytest.skip("no podman here")
    if os.geteuid() != 0:
        pytest.skip("needs root: the volumes are given to the image's own user")
    if podman("image", "exists", IMAGE, check=False).returncode != 0:
        # tests/image/stand_ins.sh has bases for machines that reach no registry.
        pytest.skip(f"no image {IMAGE}: `make image ENGINE=podman`")
    tried = podman("run", "--rm", *MACHINE, "--entrypoint=true", IMAGE, check=False)
    if tried.returncode != 0:
        pytest.skip(f"podman can't run containers here: {tried.stderr.strip()}")
    package = "/opt/kubently-agent/lib/python3.13/site-packages/agent"
    sums = f"cd {package} && find . -name '*.py' -exec sha256sum {{}} + | sort"
    inside = podman("run", "--rm", *MACHINE, "--entrypoint=sh", IMAGE, "-c", sums).stdout
    outside = subprocess.run(
        ["sh", "-c", "find . -name '*.py' -exec sha256sum {} + | sort"],
        cwd=ROOT / "agent",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if inside != outside:
        pytest.skip(f"{IMAGE} holds other code than this checkout: `make image ENGINE=podman`")


def run(*command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Runs something else than the agent in a fresh container, with the least that a pod has."""
    bare = ["run", "--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    return podman(*bare, *MACHINE, *options, f"--entrypoint={command[0]}", IMAGE, *command[1:], check=False)


def cores(quantity: str) -> float:
    """Of Kubernetes' spelling."""
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


@dataclass
class Pod:
    """The agent's container, made from the Deployment as a kubelet would, over volumes that outlive it.

    `folder` holds one folder for each volume; what the cluster would put there from Secrets, the test does.
    """

    manifest: dict[str, Any]
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    container: str = ""
    options: Sequence[str] = ()
    """More of podman's own."""

    @property
    def grace_seconds(self) -> int:
        return int(self.manifest["terminationGracePeriodSeconds"])

    def volume(self, name: str) -> Path:
        """A volume's folder, owned as `fsGroup` has it."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        os.chown(path, 0, self.manifest["securityContext"]["fsGroup"])
        path.chmod(0o2770)
        return path

    def start(self) -> None:
        self.container = podman("run", "--detach", *self._options(), IMAGE, *self._agent["args"]).stdout.strip()

    def stop(self) -> int:
        """As a kubelet ends a pod; returns the exit code. Fails if the grace period didn't suffice."""
        podman("kill", "--signal=TERM", self.container)
        return self.ended(within=self.grace_seconds)

    def kill(self) -> None:
        podman("kill", "--signal=KILL", self.container)
        self.ended(within=20)

    def ended(self, within: float) -> int:
        done = podman("wait", self.container, timeout=within)
        return int(done.stdout)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        return podman("exec", self.container, *command, check=False)

    def log(self) -> str:
        done = podman("logs", self.container)
        return done.stdout + done.stderr

    def remove(self) -> None:
        if self.container:
            podman("rm", "--force", "--time=0", self.container)
            self.container = ""

    def peak_memory_bytes(self) -> int:
        """The most that the whole container took, the kernel's own caches for it included."""
        for name in ("memory.peak", "memory/memory.max_usage_in_bytes"):
            done = self.execute("cat", f"/sys/fs/cgroup/{name}")
            if done.returncode == 0:
                return int(done.stdout)
        pytest.skip("this machine's cgroups count no peak")

    @property
    def _agent(self) -> dict[str, Any]:
        (container,) = self.manifest["containers"]
        return dict(container)

    def _options(self) -> list[str]:
        limits = self._agent["resources"]["limits"]
        context = self.manifest["securityContext"]
        environ = {variable["name"]: variable["value"] for variable in self._agent["env"]} | self.environ
        assert self._agent["securityContext"]["readOnlyRootFilesystem"]
        assert self._agent["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        return [
            "--read-only",
            "--read-only-tmpfs=false",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            f"--user={context['runAsUser']}:{context['runAsGroup']}",
            f"--group-add={context['fsGroup']}",
            f"--memory={limits['memory'].replace('Mi', 'm')}",
            f"--cpus={cores(limits['cpu'])}",
            *(f"--env={name}={value}" for name, value in environ.items()),
            *(self._mount(mount) for mount in self._agent["volumeMounts"]),
            *self._service_account(),
            *MACHINE,
            *self.options,
        ]

    def _mount(self, mount: dict[str, Any]) -> str:
        mode = "ro" if mount.get("readOnly") else "rw"
        return f"--volume={self.volume(mount['name'])}:{mount['mountPath']}:{mode}"

    def _service_account(self) -> list[str]:
        assert self.manifest["automountServiceAccountToken"]
        return [f"--volume={self.volume('service-account')}:/var/run/secrets/kubernetes.io/serviceaccount:ro"]


def base() -> str:
    """The image that the Dockerfile begins with."""
    (named,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return str(named)


def inspect(image: str) -> Any:
    (described,) = json.loads(podman("image", "inspect", image).stdout)
    return described
