"""What the child may see: one kubeconfig, two folders of its own, seven variables, and nothing else of the agent's.

Each is there for a reason:

- PATH and the working folder are one empty folder: kubectl runs what it finds as `kubectl-…` in the former, and reads
  and writes relative paths in the latter.
- The kubeconfig is always explicit, by flag. Without one, or with a file that is missing, kubectl silently turns to
  http://localhost:8080 and may send the token there in clear text; a flag that names a missing file is an error.
- So is the context: a kubeconfig without a current one means localhost:8080 as well, and a kubeconfig of a laptop must
  not move the agent to another cluster because somebody typed `kubectl config use-context`.
- HOME and KUBECACHEDIR are on the writable volume: kubectl keeps there what the API server can do, and would otherwise
  ask for all of that on every call.
- KUBECTL_KUBERC and KUBERC switch off the preferences file, which can give every verb other defaults.
- GOGC and GOMEMLIMIT let it collect garbage less often as long as it has much room, and more often near its limit. It
  takes a fifth less processor time (`get pods`: 40 ms for 50, 1 MB more), and no smaller answers fit (measured, 1.37).
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import KubectlError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts a pod's token and the cluster's CA, and replaces them before they expire."""

MIB = 1 << 20
MOST_BYTES = 2048 * MIB  # for one kubectl, also where the container has no limit
LEAST_BYTES = 128 * MIB  # it starts with 96 MiB and not with 64, as Go reserves its heap in pieces of 64 MiB (measured)
AGENT_BYTES = 64 * MIB  # what the agent itself may need of its container's memory
CONTAINER_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container finds its own limit: cgroup v2, v1."""

_CONTEXT = "cluster"


@dataclass(frozen=True, slots=True)
class Environment:
    """Made once; the same for every child."""

    program: Path
    flags: tuple[str, ...]  # they stand before the verb, so that nothing in a command's own arguments comes first
    environ: Mapping[str, str]
    folder: Path  # where it runs
    data_bytes: int = MOST_BYTES  # how much memory each child may fill, and all of them together

    @classmethod
    def prepare(cls, kubectl: str, kubeconfig: Path | None, home: Path) -> "Environment":
        """Find `kubectl` (a path, or a name in PATH), make the folders under `home` on a writable volume, and without
        a `kubeconfig` write one for the pod's service account. Raises KubectlError that says what is missing, and what
        to do about it.
        """
        program, folder, memory = _find(kubectl), home / "empty", data_limit()
        if kubeconfig is None:
            written = _in_cluster()
            flags: tuple[str, ...] = f"--kubeconfig={home}/kubeconfig", f"--context={_CONTEXT}"
        else:
            written, flags = None, (f"--kubeconfig={kubeconfig.absolute()}",)
        _set_up(home, folder, written)
        variables = {
            "PATH": str(folder),
            "HOME": str(home),
            "KUBECACHEDIR": str(home / "cache"),
            "KUBECTL_KUBERC": "false",
            "KUBERC": "off",
            "GOGC": "400",
            "GOMEMLIMIT": str(memory // 2),
        }
        return cls(program, flags, variables, folder, memory)


def data_limit() -> int:
    """Bytes of memory for kubectl: what the container's limit leaves beside the agent.

    kubectl holds a list several times over: it takes 48 MB for a small one, 80 for 2 MB of JSON, 125 for 5 MB, 160 for
    10 MB (measured with 1.37 and 192 MiB). Since Kubernetes 1.28 the kernel ends a container as a whole when it runs
    out of memory (`memory.oom.group`, kubernetes/kubernetes#117793): a large answer must end its command alone.
    """
    for file in CONTAINER_FILES:
        with suppress(OSError, ValueError):  # v2 says "max" where there is no limit
            return min(max(int(file.read_text()) - AGENT_BYTES, LEAST_BYTES), MOST_BYTES)
    return MOST_BYTES


def _find(kubectl: str) -> Path:
    if found := shutil.which(kubectl, path=os.environ.get("PATH", os.defpath)):
        return Path(found).absolute()
    if "/" not in kubectl:
        raise KubectlError(f"No {kubectl!r} in PATH.", "Install kubectl, or name its file with KUBENTLY_KUBECTL.")
    raise KubectlError(f"There is no file {kubectl} that may be executed.", "Correct KUBENTLY_KUBECTL or its mode.")


def _set_up(home: Path, empty: Path, kubeconfig: str | None) -> None:
    """The folders; and the file whole or not at all, as an agent that runs already may be using it."""
    fresh = home / "kubeconfig.new"
    try:
        for folder, mode in ((home, 0o700), (home / "cache", 0o700), (empty, 0o500)):
            folder.mkdir(mode, parents=True, exist_ok=True)
            folder.chmod(mode)
        if kubeconfig is not None:
            fresh.unlink(missing_ok=True)
            fresh.write_text(kubeconfig)
            fresh.replace(home / "kubeconfig")
        strange = next(empty.iterdir(), None)
    except OSError as error:
        problem = f"kubectl's own folder {home} can't be set up: {error.strerror}: {error.filename}."
        raise KubectlError(problem, "It must be writable.") from error
    if strange:
        raise KubectlError(f"{strange} is where kubectl may find nothing: it would run it.", "Remove it.")


def _in_cluster() -> str:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        problem = "This isn't a pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no API server)."
        raise KubectlError(problem, "Name a kubeconfig with KUBENTLY_KUBECONFIG.")
    token, authority = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    try:
        for file in (token, authority):
            file.read_bytes()
    except OSError as error:
        problem = f"The pod's service account can't be used: {error.filename}: {error.strerror}."
        raise KubectlError(problem, "Look at automountServiceAccountToken and at the pod's fsGroup.") from error
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _CONTEXT, "cluster": {"server": server, "certificate-authority": str(authority)}}],
        # Named, not copied: Kubernetes replaces the token about every hour.
        "users": [{"name": "agent", "user": {"tokenFile": str(token)}}],
        # Without a namespace here kubectl would take the agent's own.
        "contexts": [{"name": _CONTEXT, "context": {"cluster": _CONTEXT, "user": "agent", "namespace": "default"}}],
        "current-context": _CONTEXT,
    }
    return json.dumps(kubeconfig, indent=2)
