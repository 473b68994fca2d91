"""Three nodes, their leases, and the namespaces."""

from demo.cluster.store import timestamp
from demo.cluster.types import Object
from demo.cluster.world.build import (
    DAY,
    HOUR,
    NODES,
    World,
    condition,
    meta,
    namespace_of,
    node_address,
)

CONTROL, WORKER_A, WORKER_B = NODES
WORKERS = (WORKER_A, WORKER_B)
AGE = 93 * DAY + 4 * HOUR

_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def add(world: World) -> None:
    """Nodes and namespaces."""
    for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
        world.add(namespace_of(name, AGE))
    world.add(namespace_of("shop", 71 * DAY + 6 * HOUR))
    for index, name in enumerate(NODES):
        world.add(_node(name, index))
        world.add(_lease(name))


def _node(name: str, index: int) -> Object:
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
    }
    spec: Object = {"podCIDR": f"10.244.{index}.0/24", "podCIDRs": [f"10.244.{index}.0/24"]}
    if name == CONTROL:
        labels["node-role.kubernetes.io/control-plane"] = ""
        spec["taints"] = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    capacity = {"cpu": "4", "memory": "8131924Ki", "pods": "110", "ephemeral-storage": "81106868Ki"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": meta("Node", name, None, AGE - index * 120, labels=labels),
        "spec": spec,
        "status": {
            "capacity": capacity,
            "allocatable": capacity | {"memory": "7927124Ki", "cpu": "3920m"},
            "conditions": [
                condition(kind, status, AGE - 60, reason, message) | {"lastHeartbeatTime": timestamp(35)}
                for kind, status, reason, message in _CONDITIONS
            ],
            "addresses": [
                {"type": "InternalIP", "address": node_address(name)},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "machineID": f"{index + 1:032x}",
                "systemUUID": f"{index + 1:032x}",
                "bootID": f"{index + 7:032x}",
                "kernelVersion": "6.12.48+deb13-amd64",
                "osImage": "Debian GNU/Linux 13 (trixie)",
                "containerRuntimeVersion": "containerd://2.2.1",
                "kubeletVersion": "v1.36.4",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
            "images": [],
        },
    }


def _lease(name: str) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": meta("Lease", name, "kube-node-lease", AGE),
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": timestamp(4).replace("Z", ".000000Z"),
        },
    }
