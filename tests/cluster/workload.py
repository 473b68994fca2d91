"""What the tests find in the cluster: a node, a shop of two pods with logs and metrics, a Secret, custom resources."""

from collections.abc import Mapping
from typing import Any

from tests.cluster.controlplane import Cluster, wait_for
from tests.cluster.node import ContainerLog

Manifest = dict[str, Any]
NODE = "node-1"
NAMESPACE = "shop"
AGENT_NAMESPACE = "kubently-elsewhere"
"""Not the base's own, so that whatever doesn't follow the overlay's namespace is found out."""
LOG = ["listening on :8080", "GET /cart 200", "GET /cart 500"]
SECRET = "correct-horse-battery-staple"
WHEN = "2026-01-02T03:04:05Z"


def manifest(api: str, kind: str, name: str, namespace: str | None = None, **fields: Any) -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def custom_resource(group: str, version: str, kind: str, plural: str, scope: str = "Namespaced") -> Manifest:
    """A definition that takes objects of any shape."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    made = manifest(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        f"{plural}.{group}",
        spec={
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    )
    # The server asks for this on every group of *.k8s.io.
    made["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, for a test"}
    return made


def populate(cluster: Cluster) -> None:
    """Creates it all, and waits until the pods run."""
    cluster.apply(
        manifest("v1", "Namespace", NAMESPACE),
        manifest("v1", "Node", NODE),
        # `kubectl top` reads these two; a metrics server needn't be behind them.
        custom_resource("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", "Cluster"),
        custom_resource("metrics.k8s.io", "v1beta1", "PodMetrics", "pods"),
        custom_resource("example.com", "v1", "Widget", "widgets"),
        custom_resource("example.com", "v1", "Gadget", "gadgets"),
        _widgets_view(),
    )
    cluster.set_status("node", NODE, _node_status(cluster.kubelet.port))
    cluster.apply(*_shop())
    wait_for("the shop's pods", lambda: len(cluster.get("pods", "-n", NAMESPACE)["items"]) == 2)
    for pod in cluster.get("pods", "-n", NAMESPACE)["items"]:
        run(cluster, pod)
    wait_for("the shop", lambda: cluster.get("deploy", "web", "-n", NAMESPACE)["status"].get("readyReplicas") == 2)
    wait_for("the widgets", lambda: cluster.kubectl("get", "widgets,gadgets", "-A", check=False).returncode == 0)
    cluster.apply(
        manifest("example.com/v1", "Widget", "cog", NAMESPACE),
        manifest("example.com/v1", "Gadget", "lamp", NAMESPACE),
        manifest(
            "metrics.k8s.io/v1beta1",
            "NodeMetrics",
            NODE,
            timestamp=WHEN,
            window="30s",
            usage={"cpu": "250m", "memory": "1Gi"},
        ),
        *(_pod_metrics(pod["metadata"]["name"]) for pod in cluster.get("pods", "-n", NAMESPACE)["items"]),
    )


def run(cluster: Cluster, pod: Mapping[str, Any]) -> None:
    """What scheduler and kubelet would do: bind the pod if need be, report it as ready, and have a log for it."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    containers = [container["name"] for container in pod["spec"]["containers"]]
    if not pod["spec"].get("nodeName"):
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        cluster.bind(manifest("v1", "Binding", name, namespace, target=target))
    for container in containers:
        cluster.kubelet.logs[namespace, name, container] = ContainerLog(LOG)
    status = {
        "phase": "Running",
        "podIP": "10.1.0.7",
        "podIPs": [{"ip": "10.1.0.7"}],
        "conditions": [{"type": kind, "status": "True"} for kind in ("PodScheduled", "ContainersReady", "Ready")],
        "containerStatuses": [
            {
                "name": container,
                "ready": True,
                "restartCount": 0,
                "image": "example.com/web:1",
                "imageID": "",
                "state": {"running": {"startedAt": WHEN}},
            }
            for container in containers
        ],
    }
    cluster.set_status("pod", name, status, namespace)


def _shop() -> list[Manifest]:
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "nodeName": NODE,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "web", "image": "example.com/web:1"}],
        },
    }
    return [
        manifest("v1", "Secret", "payment", NAMESPACE, stringData={"password": SECRET}),
        manifest("v1", "ConfigMap", "settings", NAMESPACE, data={"currency": "EUR"}),
        manifest("v1", "Service", "web", NAMESPACE, spec={"selector": labels, "ports": [{"port": 80}]}),
        manifest(
            "apps/v1",
            "Deployment",
            "web",
            NAMESPACE,
            spec={"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        ),
    ]


def _widgets_view() -> Manifest:
    """What an operator ships so that `view` covers its kind. Gadgets come without."""
    rules = [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get", "list", "watch"]}]
    role = manifest("rbac.authorization.k8s.io/v1", "ClusterRole", "widgets-view", rules=rules)
    role["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    return role


def _node_status(port: int) -> Manifest:
    room = {"cpu": "2", "memory": "4Gi", "pods": "110"}
    return {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "capacity": room,
        "allocatable": room,
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": WHEN}],
    }


def _pod_metrics(name: str) -> Manifest:
    usage = {"cpu": "12m", "memory": "34Mi"}
    containers = [{"name": "web", "usage": usage}]
    api = "metrics.k8s.io/v1beta1"
    return manifest(api, "PodMetrics", name, NAMESPACE, timestamp=WHEN, window="30s", containers=containers)
