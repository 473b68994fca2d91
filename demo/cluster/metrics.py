"""metrics.k8s.io, for `kubectl top`: usage that differs a little between pods and stays believable."""

from demo.cluster.store import timestamp
from demo.cluster.types import Object

_API = "metrics.k8s.io/v1beta1"


def pod_metrics(pod: Object) -> Object | None:
    """What a running pod uses; None for one that doesn't run."""
    if pod["status"]["phase"] != "Running" or not pod["status"]["containerStatuses"][0]["ready"]:
        return None
    share = int(pod["metadata"]["uid"][:4], 16)
    return {
        "apiVersion": _API,
        "kind": "PodMetrics",
        "metadata": {key: pod["metadata"][key] for key in ("name", "namespace", "labels") if key in pod["metadata"]}
        | {"creationTimestamp": timestamp()},
        "timestamp": timestamp(12),
        "window": "15s",
        "containers": [
            {
                "name": container["name"],
                "usage": {"cpu": f"{2 + share % 61}m", "memory": f"{24 + share % 83}Mi"},
            }
            for container in pod["spec"]["containers"]
        ],
    }


def node_metrics(node: Object) -> Object:
    """What a node uses."""
    share = int(node["metadata"]["uid"][:4], 16)
    return {
        "apiVersion": _API,
        "kind": "NodeMetrics",
        "metadata": {"name": node["metadata"]["name"], "labels": node["metadata"]["labels"]}
        | {"creationTimestamp": timestamp()},
        "timestamp": timestamp(9),
        "window": "20s",
        "usage": {"cpu": f"{180 + share % 700}m", "memory": f"{1900 + share % 2400}Mi"},
    }
