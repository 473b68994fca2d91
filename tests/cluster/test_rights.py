"""What the server lets the agent's service account do: all that the guard allows, and nothing beyond it."""

import json
import re
from pathlib import Path

import pytest

from agent.guard import Refused, decide
from agent.guard.tables import VERBS
from tests.cluster.conftest import AGENT_NAMESPACE
from tests.cluster.controlplane import Cluster
from tests.cluster.workload import LOG, NAMESPACE, NODE, SECRET

ALLOWED = {
    "get pods -A": "web-",
    "get pods,deploy,rs,svc,ep,cm -n shop -o wide": "deployment.apps/web",
    "get nodes -o yaml": "kind: Node",
    f"get node {NODE} --subresource=status -o name": f"node/{NODE}",
    "get deploy web -n shop --subresource=scale": "web",
    "get pod -n shop -l app=web -o jsonpath={.items[*].metadata.name}": "web-",
    "get widgets -A": "cog",
    "get ns,pv,sc,crd,apiservices,leases,priorityclasses -A": "namespace/shop",
    "get clusterroles,clusterrolebindings,roles,rolebindings -A": "clusterrole.rbac.authorization.k8s.io/view",
    "get --raw /readyz?verbose": "readyz check passed",
    "get --raw /version": "gitVersion",
    f"describe node {NODE}": "Non-terminated Pods",
    "describe pods -n shop": "example.com/web:1",
    "describe deploy web -n shop": "NewReplicaSet:",
    "describe serviceaccount default -n shop": "default",
    "logs deploy/web -n shop --tail=1": LOG[-1],
    "logs -n shop -l app=web --all-containers --prefix": f"/web] {LOG[0]}",
    "top node": "250m",
    "top pod -A": "34Mi",
    "top pod -n shop --containers": "34Mi",
    "events -A": "ScalingReplicaSet",
    "get events -n shop": "ScalingReplicaSet",
    "get events.events.k8s.io -n shop": "ScalingReplicaSet",
    "api-resources": "deployments",
    "api-versions": "apps/v1",
    "explain pods.spec.containers": "DESCRIPTION",
    "version": "Server Version: v",
    "auth can-i list pods -A": "yes",
    "auth can-i --list -n shop": "selfsubjectaccessreviews",
    "auth whoami": f"system:serviceaccount:{AGENT_NAMESPACE}:kubently-agent",
    "rollout history deploy/web -n shop": "REVISION",
    "rollout status deploy/web -n shop --watch=false": "successfully rolled out",
    "cluster-info": "is running at",
}
"""At least one command for each verb of the guard, and a word of its answer."""

POD = "POD"
FORBIDDEN = [
    # Secrets, in each way of asking
    "get secrets -A",
    "get secret payment -n shop -o yaml",
    "describe secret payment -n shop",
    "get --raw /api/v1/namespaces/shop/secrets/payment",
    "get --raw /api/v1/secrets?watch=true",
    # Into pods and through nodes
    f"exec -n shop {POD} -- true",
    f"attach -n shop {POD}",
    f"port-forward -n shop pod/{POD} :80",
    f"cp -n shop {POD}:/etc/hosts /dev/null --retries=0",
    f"debug -n shop {POD} --image=example.com/tool",
    f"get --raw /api/v1/nodes/{NODE}/proxy/pods",
    f"get --raw /api/v1/nodes/{NODE}/proxy/run/shop/{POD}/web?cmd=id",
    f"get --raw /api/v1/namespaces/shop/pods/{POD}/proxy/",
    f"get --raw /api/v1/namespaces/shop/pods/{POD}/exec?command=id&stdout=true",
    f"get --raw /api/v1/namespaces/shop/pods/{POD}/portforward?ports=80",
    "get --raw /api/v1/namespaces/shop/services/web/proxy/",
    # As somebody else
    "get pods -A --as=admin",
    "get pods -A --as=x --as-group=system:masters",
    "create token default -n shop",
    f"create token kubently-agent -n {AGENT_NAMESPACE}",
    # The server itself
    "get --raw /metrics",
    "get --raw /debug/pprof/",
    "get --raw /logs/",
    # Each verb of kubectl that writes
    "create configmap x -n shop",
    "create -n shop deployment x --image=x",
    "create clusterrolebinding x --clusterrole=cluster-admin --user=x",
    f"create clusterrolebinding x --clusterrole=cluster-admin --serviceaccount={AGENT_NAMESPACE}:kubently-agent",
    "run x -n shop --image=example.com/x",
    "expose deploy web -n shop --name=x --port=80",
    "delete pods -n shop --all --wait=false",
    f"delete node {NODE} --wait=false",
    "delete namespace shop --wait=false",
    "delete configmap settings -n shop",
    "label deploy web -n shop x=y",
    "annotate deploy web -n shop x=y",
    "patch deploy web -n shop -p {}",
    """patch deploy web -n shop -p {"spec":{"replicas":0}}""",
    "scale deploy web -n shop --replicas=0",
    "set image deploy/web -n shop web=example.com/web:2",
    "set env deploy/web -n shop X=y",
    "rollout restart deploy/web -n shop",
    "rollout pause deploy/web -n shop",
    f"taint node {NODE} x=y:NoSchedule",
    f"cordon {NODE}",
    f"drain {NODE} --force --ignore-daemonsets",
    "replace -f -",
    "apply -f -",
    "apply --server-side -f -",
    "create -f -",
    "auth reconcile -f -",
]

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


def versions(cluster: Cluster) -> list[str]:
    """Of all that a forbidden command might have changed."""
    kinds = "deploy,cm,svc,sa,pods,nodes,clusterroles,clusterrolebindings,namespaces"
    return [item["metadata"]["resourceVersion"] for item in cluster.get(kinds, "-n", NAMESPACE)["items"]]


@pytest.mark.parametrize("line", ALLOWED)
def test_what_the_guard_allows_is_answered(line: str, cluster: Cluster, account: Path, kubectl: Path) -> None:
    done = cluster.kubectl(*decide(line.split()).argv, kubeconfig=account, program=kubectl)
    assert ALLOWED[line] in done.stdout
    assert SECRET not in done.stdout


def test_every_verb_of_the_guard_is_among_them() -> None:
    tried = {decide(line.split()).verb for line in ALLOWED}
    assert tried == {verb.name for verb in VERBS}


@pytest.mark.parametrize("line", FORBIDDEN)
def test_the_guard_refuses_it_too(line: str) -> None:
    with pytest.raises(Refused):
        decide(line.split(" "))


@pytest.mark.parametrize("line", FORBIDDEN)
def test_the_server_refuses_by_itself(line: str, cluster: Cluster, account: Path, pod: str) -> None:
    args = [word.replace(POD, pod) for word in line.split(" ")]
    stdin = ROLE if args[0] == "auth" else OBJECT
    before = versions(cluster)
    done = cluster.kubectl(*args, kubeconfig=account, stdin=stdin, check=False)
    assert re.search("forbidden|Forbidden", done.stderr), done.stderr  # `cordon` says so and still exits with 0
    assert SECRET not in done.stdout + done.stderr
    assert versions(cluster) == before


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
