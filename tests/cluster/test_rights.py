"""What the server lets the agent's service account do, with no guard in between."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.guard import Refused, decide
from agent.guard.tables import VERBS
from tests.cluster.commands import ALLOWED, FORBIDDEN, POD
from tests.cluster.controlplane import Cluster
from tests.cluster.workload import AGENT_NAMESPACE, NAMESPACE, SECRET

OBJECT = json.dumps(
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": NAMESPACE}, "data": {}}
)
ROLE = json.dumps(
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "view"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    }
)


@pytest.fixture(scope="module")
def pod(cluster: Cluster) -> str:
    """The name of one of the shop's pods."""
    return str(cluster.get("pods", "-n", NAMESPACE)["items"][0]["metadata"]["name"])


@pytest.fixture(scope="module")
def unchanged(cluster: Cluster, account: Path) -> Iterator[None]:
    """Nothing that a forbidden command might have changed was."""
    before = versions(cluster)
    yield
    assert versions(cluster) == before


def versions(cluster: Cluster) -> dict[str, str]:
    kinds = "deploy,cm,svc,sa,pods,nodes,clusterroles,clusterrolebindings,namespaces"
    items = cluster.get(kinds, "-n", NAMESPACE)["items"]
    return {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}


def test_every_verb_of_the_guard_is_among_them() -> None:
    tried = {" ".join(decide(line.split())).partition(" --v=0")[0] for line in ALLOWED}
    assert tried == VERBS.keys()


@pytest.mark.parametrize("line", FORBIDDEN)
def test_the_guard_refuses_it_too(line: str) -> None:
    with pytest.raises(Refused):
        decide(line.split(" "))


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("line", FORBIDDEN)
def test_the_server_refuses_by_itself(line: str, cluster: Cluster, account: Path, pod: str) -> None:
    args = [word.replace(POD, pod) for word in line.split(" ")]
    stdin = ROLE if args[0] == "auth" else OBJECT
    done = cluster.kubectl(*args, kubeconfig=account, stdin=stdin, check=False)
    assert re.search("forbidden|Forbidden", done.stderr), done.stderr  # `cordon` says so and still exits with 0
    assert SECRET not in done.stdout + done.stderr


def test_every_kind_but_secrets_can_be_read(cluster: Cluster, account: Path) -> None:
    listable = cluster.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    assert len(listable) > 50
    unread = {
        kind for kind in listable if cluster.kubectl("get", kind, "-A", kubeconfig=account, check=False).returncode != 0
    }
    # Gadgets are a custom resource that nobody aggregates to `view`.
    assert unread == {"secrets", "gadgets.example.com"}


@pytest.mark.parametrize("namespace", [NAMESPACE, AGENT_NAMESPACE, "kube-system"])
def test_the_server_lists_no_right_but_to_read(namespace: str, cluster: Cluster, account: Path) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    done = cluster.kubectl("create", "-f", "-", "-o", "json", kubeconfig=account, stdin=json.dumps(review))
    status = json.loads(done.stdout)["status"]
    assert not status["incomplete"]
    writing = [rule for rule in status["resourceRules"] if not set(rule["verbs"]) <= {"get", "list", "watch"}]
    # Questions about oneself, which every user may ask.
    asking = {f"selfsubject{what}reviews" for what in ("access", "rules")} | {"selfsubjectreviews"}
    assert {resource for rule in writing for resource in rule["resources"]} == asking
    read = {resource for rule in status["resourceRules"] for resource in rule["resources"]}
    assert not [resource for resource in read if resource.endswith("/proxy") or "*" in resource]
    assert not read & {"secrets", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/portforward"}
    assert {tuple(rule["verbs"]) for rule in status["nonResourceRules"]} == {("get",)}
