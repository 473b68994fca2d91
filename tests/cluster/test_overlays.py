"""Every overlay and component on a server that validates, admits and authorizes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import workload
from tests.cluster.controlplane import Cluster, wait_for
from tests.kustomize.builds import COMPONENTS, OVERLAYS, ROOT, Manifest, build, of_kind, overlay, the

OPERATOR = [
    workload.custom_resource("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"),
    workload.custom_resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
]
CASES = [*(f"overlays/{name}" for name in OVERLAYS), *(f"components/{name}" for name in COMPONENTS)]


@pytest.fixture
def deployed(cluster: Cluster, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Manifest]]:
    """One of the cases, applied, and removed after the test."""
    kind, _, name = request.param.partition("/")
    folder = ROOT / request.param
    if kind == "components":
        folder = overlay(tmp_path, components=[name], namespace=f"with-{name}")
    manifests = build(folder)
    namespace = the(manifests, "ServiceAccount")["metadata"]["namespace"]
    if not of_kind(manifests, "Namespace"):
        cluster.apply(restricted(namespace))
    if of_kind(manifests, "PodMonitor"):
        cluster.apply(*OPERATOR)
        ask = ("get", "podmonitors,prometheusrules")
        wait_for("the operator's kinds", lambda: cluster.kubectl(*ask, check=False).returncode == 0)
    said = cluster.kubectl("apply", "-k", folder)
    assert said.stderr == ""  # a pod template that isn't restricted enough would be warned about here
    yield manifests
    cluster.kubectl("delete", "-k", folder, "--wait=false")
    if of_kind(manifests, "PodMonitor"):
        cluster.kubectl("delete", "crd", *(kind["metadata"]["name"] for kind in OPERATOR))


def restricted(namespace: str) -> Manifest:
    made = workload.manifest("v1", "Namespace", namespace)
    made["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "restricted"}
    return made


@pytest.mark.parametrize("deployed", CASES, indirect=True)
def test_the_server_accepts_it_and_makes_its_pod_under_the_restricted_level(
    deployed: list[Manifest], cluster: Cluster
) -> None:
    namespace = the(deployed, "ServiceAccount")["metadata"]["namespace"]
    labels = cluster.get("namespace", namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    wait_for("the pod", lambda: cluster.get("pods", "-n", namespace)["items"], 30)
    (pod,) = cluster.get("pods", "-n", namespace)["items"]
    account = [volume for volume in pod["spec"]["volumes"] if "projected" in volume]
    assert len(account) == 1  # the service account's token, which the ServiceAccount itself withholds


def test_a_pod_less_locked_down_is_not_admitted_beside_the_agent(cluster: Cluster, account: Path) -> None:
    namespace = account.name.removesuffix("-kubently-agent.kubeconfig")
    shell = ("run", "x", "-n", namespace, "--image=example.com/x", "--dry-run=server")
    done = cluster.kubectl(*shell, check=False)
    assert 'violates PodSecurity "restricted:latest"' in done.stderr


def test_whoever_is_admin_of_a_namespace_installs_it_there(cluster: Cluster, tmp_path: Path) -> None:
    cluster.apply(restricted("team"))
    cluster.kubectl("create", "rolebinding", "boss", "-n", "team", "--clusterrole=admin", "--user=ann")
    folder = overlay(tmp_path, components=["namespace-scoped"], namespace="team")
    cluster.kubectl("apply", "-k", folder, "--as=ann")
    account = cluster.service_account("team")
    assert "settings" not in cluster.kubectl("get", "cm", "-n", "team", kubeconfig=account).stdout
    for line in ("get pods -A", "get pods -n shop", "get nodes", "get secrets -n team"):
        refused = cluster.kubectl(*line.split(), kubeconfig=account, check=False)
        assert "Forbidden" in refused.stderr, line
    # A further namespace, by the command that the component names.
    text = (ROOT / "components/namespace-scoped/kustomization.yaml").read_text()
    (command,) = [line.removeprefix("#   kubectl ") for line in text.splitlines() if line.startswith("#   kubectl ")]
    cluster.kubectl(*command.replace("kubently:", "team:").split())
    assert "web-" in cluster.kubectl("get", "pods", "-n", "shop", kubeconfig=account).stdout
    cluster.kubectl("delete", "rolebinding", "kubently-agent", "-n", "shop")
    cluster.kubectl("delete", "namespace", "team", "--wait=false")


def test_wide_read_is_as_dangerous_as_it_says(cluster: Cluster, tmp_path: Path) -> None:
    folder = overlay(tmp_path, components=["wide-read"], namespace="wide")
    cluster.kubectl("apply", "-k", folder)
    account = cluster.service_account("wide")
    shown = cluster.kubectl("get", "secrets,gadgets", "-n", "shop", kubeconfig=account).stdout
    assert "payment" in shown
    assert "lamp" in shown
    for what in ("pods/exec", "nodes/proxy"):
        assert cluster.kubectl("auth", "can-i", "get", what, kubeconfig=account).stdout == "yes\n"
    refused = cluster.kubectl("delete", "pods", "-n", "shop", "--all", kubeconfig=account, check=False)
    assert "Forbidden" in refused.stderr
    cluster.kubectl("delete", "-k", folder, "--wait=false")


def test_an_upgrade_is_one_more_apply(cluster: Cluster, tmp_path: Path) -> None:
    later = {
        "labels": [{"includeTemplates": True, "pairs": {"app.kubernetes.io/version": "9.9.9"}}],
        "images": [{"name": "set-the-image.invalid/kubently-agent", "newTag": "9.9.9"}],
    }
    folder = overlay(tmp_path, namespace="upgraded")
    cluster.kubectl("apply", "-k", folder)
    pods = ("get", "pods", "-n", "upgraded", "-o", "jsonpath={.items[*].spec.containers[*].image}")
    wait_for("the pod", lambda: cluster.kubectl(*pods).stdout)
    overlay(tmp_path, namespace="upgraded", more=yaml.safe_dump(later))
    assert cluster.kubectl("apply", "-k", folder).stderr == ""  # a changed selector would be refused
    wait_for("the new pod alone", lambda: cluster.kubectl(*pods).stdout.endswith("/kubently-agent:9.9.9"))
    cluster.kubectl("delete", "-k", folder, "--wait=false")


@pytest.mark.parametrize("name", OVERLAYS)
def test_three_kubectls_build_the_same(name: str, kubectl: Path) -> None:
    assert build(ROOT / "overlays" / name, kubectl) == build(ROOT / "overlays" / name)


def test_deleting_an_overlay_leaves_nothing_behind(cluster: Cluster, tmp_path: Path) -> None:
    folder = overlay(tmp_path, components=["persistent-spool", "network-policy"], namespace="gone")
    cluster.kubectl("apply", "-k", folder)
    assert left_of(cluster, "gone")
    cluster.kubectl("delete", "-k", folder, "--wait=false")
    wait_for("the end of all of it", lambda: not left_of(cluster, "gone"))


def left_of(cluster: Cluster, namespace: str) -> list[str]:
    """Whatever is in the namespace, is the namespace, or belongs to the agent and to the whole cluster."""
    found = [
        *cluster.get("deploy,pods,pvc,networkpolicies,sa,cm", "-n", namespace)["items"],
        *cluster.get("namespaces", f"--field-selector=metadata.name={namespace}")["items"],
        *cluster.get("clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/name=kubently-agent")["items"],
    ]
    return [f"{item['kind']}/{item['metadata']['name']}" for item in found]
