"""What the child may see: one kubeconfig, three folders of its own, five variables, and nothing else of the agent's.

Each is there for a reason:

- PATH names an empty folder and so is the working folder: kubectl runs what it finds as `kubectl-…` in the one, and
  reads and writes relative paths in the other.
- The kubeconfig is always explicit, by flag. Without one, or with a file that is missing, kubectl silently turns to
  http://localhost:8080 and may send the token there in clear text; a flag that names a missing file is an error.
- So is the context: a kubeconfig without a current one means localhost:8080 as well, and a kubeconfig of a laptop must
  not move the agent to another cluster because somebody typed `kubectl config use-context`.
- HOME and KUBECACHEDIR are on the writable volume: kubectl keeps there what the API server can do, and would otherwise
  ask for all of that on every call.
- KUBECTL_KUBERC and KUBERC switch off the preferences file, which can give every verb other defaults.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.errors import KubectlError
from agent.kubectl.memory import MOST_BYTES, data_limit

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts a pod's token and the cluster's CA, and replaces them before they expire."""

_CONTEXT = "cluster"
_READ_CONFIG_SECONDS = 20.0
_ANOTHER = "Name a kubectl that works on this machine with KUBENTLY_KUBECTL."


@dataclass(frozen=True, slots=True)
class Environment:
    """Made once; the same for every child."""

    program: Path
    flags: tuple[str, ...]
    """These stand before the verb, so that nothing in a command's own arguments can come first."""
    environ: Mapping[str, str]
    folder: Path
    data_bytes: int = MOST_BYTES
    """How much memory each child may fill."""

    @classmethod
    def prepare(
        cls,
        *,
        kubectl: str,
        kubeconfig: Path | None,
        home: Path,
        environ: Mapping[str, str] = os.environ,
        service_account: Path = SERVICE_ACCOUNT,
    ) -> "Environment":
        """Find kubectl, make the folders under `home`, write or check the kubeconfig.

        Raises KubectlError that says what is missing, and what to do about it.

        Args:
            kubectl: A path, or a name to be looked up in `environ`'s PATH.
            kubeconfig: The file to use; None for the pod's own service account.
            home: A folder of the agent's own on a writable volume.
            environ: The agent's environment: its PATH, and where Kubernetes says the API server is.
            service_account: See `SERVICE_ACCOUNT`.
        """
        program = _find(kubectl, environ)
        path, work = home / "path", home / "work"
        _folders(home, path, work)
        variables = {
            "PATH": str(path),
            "HOME": str(home),
            "KUBECACHEDIR": str(home / "cache"),
            "KUBECTL_KUBERC": "false",
            "KUBERC": "off",
        }
        if kubeconfig is None:
            file = home / "kubeconfig"
            _write(file, _in_cluster(environ, service_account))
            context = _CONTEXT
        else:
            file = kubeconfig.absolute()
            context = _current_context(program, file, variables, work)
        flags = (f"--kubeconfig={file}", f"--context={context}")
        return cls(program, flags, variables, work, data_limit())


def _find(kubectl: str, environ: Mapping[str, str]) -> Path:
    found = shutil.which(kubectl, path=environ.get("PATH", os.defpath))
    if found:
        return Path(found).absolute()
    if not os.path.dirname(kubectl):  # noqa: PTH120  # Path can't tell "./kubectl" from "kubectl"
        raise KubectlError(f"No {kubectl!r} in PATH.", "Install kubectl, or name its file with KUBENTLY_KUBECTL.")
    if Path(kubectl).is_file():
        raise KubectlError(f"{kubectl} isn't executable.", "chmod +x it, or name another file with KUBENTLY_KUBECTL.")
    raise KubectlError(f"There is no file {kubectl}.", "Correct KUBENTLY_KUBECTL.")


def _folders(home: Path, path: Path, work: Path) -> None:
    if home.is_symlink():
        raise KubectlError(
            f"kubectl's own folder {home} is a symbolic link.", "Remove it: the agent makes a folder there."
        )
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        for folder in (path, work):
            # Removed and made anew, because removing fails unless it is empty, as it must be.
            if folder.exists():
                folder.rmdir()
            folder.mkdir(mode=0o500)
        (home / "cache").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise KubectlError(
            f"kubectl's own folder {home} can't be set up: {error.strerror}: {error.filename}.",
            "It must be writable, and its folders 'path' and 'work' empty: kubectl runs what it finds there.",
        ) from error


def _in_cluster(environ: Mapping[str, str], service_account: Path) -> str:
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port.isascii() or not port.isdigit():
        raise KubectlError(
            "This isn't a pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no API server).",
            "Name a kubeconfig with KUBENTLY_KUBECONFIG.",
        )
    token, authority = service_account / "token", service_account / "ca.crt"
    for file in (token, authority):
        try:
            empty = not file.read_bytes().strip()
        except OSError as error:
            raise KubectlError(
                f"The pod's service account can't be used: {file}: {error.strerror}.",
                "Look at automountServiceAccountToken and at the pod's fsGroup.",
            ) from error
        if empty:
            raise KubectlError(f"The pod's service account can't be used: {file} is empty.")
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": _CONTEXT, "cluster": {"server": server, "certificate-authority": str(authority)}}],
            # Named, not copied: Kubernetes replaces the token about every hour.
            "users": [{"name": "agent", "user": {"tokenFile": str(token)}}],
            # Without a namespace here kubectl would take the agent's own.
            "contexts": [{"name": _CONTEXT, "context": {"cluster": _CONTEXT, "user": "agent", "namespace": "default"}}],
            "current-context": _CONTEXT,
        },
        indent=2,
    )


def _write(file: Path, text: str) -> None:
    fresh = file.with_name(file.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(text + "\n")
        fresh.replace(file)
    except OSError as error:
        raise KubectlError(f"The kubeconfig {file} can't be written: {error.strerror}.") from error


def _current_context(program: Path, file: Path, environ: Mapping[str, str], folder: Path) -> str:
    """The name of the kubeconfig's current context, if that names a cluster with a server."""
    try:
        file.read_bytes()
    except OSError as error:
        raise KubectlError(
            f"KUBENTLY_KUBECONFIG names {file}, which can't be read: {error.strerror}.",
            "Correct the path or its rights.",
        ) from error
    # kubectl reads its own file: the agent has no YAML reader, and no second one can disagree.
    argv = [str(program), "config", "view", f"--kubeconfig={file}", "--minify", "--output=json"]
    try:
        done = subprocess.run(
            argv,
            env=environ,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_READ_CONFIG_SECONDS,
            check=False,
        )
        view = json.loads(done.stdout) if done.returncode == 0 else None
    except OSError as error:
        raise KubectlError(f"{program} can't be started: {error.strerror}.", _ANOTHER) from error
    except subprocess.TimeoutExpired as error:
        raise KubectlError(f"{program} config view didn't end in {_READ_CONFIG_SECONDS:.0f} s.", _ANOTHER) from error
    except ValueError as error:
        raise KubectlError(f"{program} isn't a kubectl: `config view` printed something else.", _ANOTHER) from error
    if view is None:
        said = done.stderr.decode(errors="replace").strip()
        if done.returncode < 0:
            how = f"`config view` was ended by signal {-done.returncode}"
            raise KubectlError(f"{program} isn't usable: {how}.", _ANOTHER)
        if not said:  # kubectl says what it doesn't like
            how = f"`config view` ended with exit code {done.returncode} and without a word"
            raise KubectlError(f"{program} isn't a kubectl: {how}.", _ANOTHER)
        raise KubectlError(f"The kubeconfig {file} can't be used: {said[:300]}")
    try:
        server, context = view["clusters"][0]["cluster"]["server"], view["current-context"]
    except (LookupError, TypeError):
        server = context = None
    if not server or not context:
        raise KubectlError(f"The kubeconfig {file} can't be used: its current context has no server.")
    return str(context)
