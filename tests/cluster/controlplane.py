"""A Kubernetes control plane of plain processes on loopback: etcd, kube-apiserver, kube-controller-manager.

There is no scheduler and no kubelet: tests bind pods to a node and write their status themselves. The node's kubelet is
a stand-in that serves logs (`node.py`).
"""

import contextlib
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cluster.node import Kubelet
from tests.cluster.programs import CONTROL_PLANE, find

START_SECONDS = 90
"""A bound for a machine with much else to do; it takes about 5 s on two idle cores."""

CONTROLLERS = (
    "clusterrole-aggregation-controller",  # makes `view`
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "deployment-controller",
    "replicaset-controller",
    "persistentvolumeclaim-protection-controller",
)
"""Those whose work the tests see. The node controllers stay off: they'd find a node without heartbeats."""


@dataclass(frozen=True)
class Cluster:
    """A running control plane, and kubectl as anybody on it."""

    folder: Path
    server: str
    kubelet: Kubelet
    tokens: Mapping[str, str]
    programs: Mapping[str, Path]

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def kubeconfig(self, name: str, token: str) -> Path:
        """A kubeconfig for the bearer of a token."""
        path = self.folder / f"{name}.kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": self.server, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
        path.write_text(json.dumps(config))
        return path

    def kubectl(
        self,
        *args: str | Path,
        kubeconfig: Path | None = None,
        program: Path | None = None,
        stdin: str | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl, as the cluster's administrator unless a kubeconfig says otherwise."""
        config = kubeconfig or self.kubeconfig("admin", self.tokens["admin"])
        done = subprocess.run(
            [program or self.programs["kubectl"], *args],
            env={"KUBECONFIG": str(config), "HOME": str(self.folder), "PATH": ""},
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(map(str, args))}: {done.stderr}"
        return done

    def get(self, *args: str) -> Any:
        """What `kubectl get … -o json` prints."""
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": manifests}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def set_status(self, kind: str, name: str, status: Mapping[str, Any], namespace: str = "default") -> None:
        patch = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)

    def bind(self, binding: Mapping[str, Any]) -> None:
        """Puts a pod on a node, as a scheduler does."""
        pod = binding["metadata"]
        path = f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}/binding"
        self.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(binding))

    def service_account(self, namespace: str, name: str = "kubently-agent") -> Path:
        """A kubeconfig with a token that the server itself made for a service account."""
        token = self.kubectl("create", "token", name, "-n", namespace).stdout.strip()
        return self.kubeconfig(f"{namespace}-{name}", token)


def wait_for(what: str, ready: Callable[[], object], seconds: float = START_SECONDS) -> None:
    """Asks until the answer is true. Failing after `seconds` is a bound for broken things, no measurement."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} didn't come within {seconds} s")
        time.sleep(0.1)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Starts a control plane that keeps all its files in `folder`, and ends it."""
    programs = {name: find(name) for name in CONTROL_PLANE}
    ca = trustme.CA()
    tokens = {"admin": secrets.token_hex(16), "controllers": secrets.token_hex(16)}
    _write_credentials(folder, ca, tokens)
    etcd, peer, server, controllers = free_ports(4)
    cluster = Cluster(folder, f"https://127.0.0.1:{server}", Kubelet(ca), tokens, programs)
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.kubelet.stop)
        stack.enter_context(_process(folder, programs["etcd"], _etcd(folder, etcd, peer)))
        stack.enter_context(_process(folder, programs["kube-apiserver"], _apiserver(folder, etcd, server)))
        wait_for("kube-apiserver", lambda: cluster.kubectl("get", "--raw", "/readyz", check=False).returncode == 0)
        config = cluster.kubeconfig("controllers", tokens["controllers"])
        args = _controller_manager(folder, config, controllers)
        stack.enter_context(_process(folder, programs["kube-controller-manager"], args))
        wait_for("the role `view`", lambda: cluster.get("clusterrole", "view")["rules"])
        wait_for("the default account", lambda: cluster.get("serviceaccount")["items"])
        yield cluster


def _write_credentials(folder: Path, ca: trustme.CA, tokens: Mapping[str, str]) -> None:
    ca.cert_pem.write_to_path(folder / "ca.crt")
    for name in ("server", "kubelet-client"):
        leaf = ca.issue_cert("127.0.0.1", "localhost", "kubernetes.default.svc", common_name=name)
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
        leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "accounts.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    users = [
        f'{tokens["admin"]},admin,1,"system:masters"',
        f"{tokens['controllers']},system:kube-controller-manager,2",
    ]
    (folder / "tokens.csv").write_text("\n".join(users) + "\n")


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nothing listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _etcd(folder: Path, client: int, peer: int) -> list[str]:
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",  # the data is gone after the tests anyway
    ]


def _apiserver(folder: Path, etcd: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",  # an Endpoints object can't hold a loopback address
        f"--secure-port={port}",
        f"--tls-cert-file={folder / 'server.crt'}",
        f"--tls-private-key-file={folder / 'server.key'}",
        f"--client-ca-file={folder / 'ca.crt'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'accounts.key'}",
        f"--service-account-signing-key-file={folder / 'accounts.key'}",
        f"--kubelet-client-certificate={folder / 'kubelet-client.crt'}",
        f"--kubelet-client-key={folder / 'kubelet-client.key'}",
        f"--kubelet-certificate-authority={folder / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def _controller_manager(folder: Path, kubeconfig: Path, port: int) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'controllers'}",
        "--leader-elect=false",
        f"--controllers={','.join(CONTROLLERS)}",
        f"--root-ca-file={folder / 'ca.crt'}",
        f"--service-account-private-key-file={folder / 'accounts.key'}",
        "--use-service-account-credentials=true",
    ]


@contextlib.contextmanager
def _process(folder: Path, program: Path, args: Sequence[str]) -> Iterator[None]:
    """Runs one program until the end of the block. Its log is in the folder."""
    with (folder / f"{program.name}.log").open("wb") as log:
        process = subprocess.Popen([program, *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
