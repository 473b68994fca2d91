"""Pods that run well. `troubles.py` makes them otherwise."""

from dataclasses import dataclass, field
from typing import Any

from demo.cluster.store import timestamp
from demo.cluster.types import Object
from demo.cluster.world.build import (
    By,
    When,
    World,
    condition,
    hexadecimal,
    meta,
    node_address,
    suffix,
)

_TOKEN_VOLUME = "kube-api-access"  # noqa: S105  # a volume's name
_TOLERATIONS = [
    {
        "key": f"node.kubernetes.io/{what}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for what in ("not-ready", "unreachable")
]


@dataclass(frozen=True, kw_only=True)
class Container:
    """What one container is to be."""

    name: str
    image: str
    port: int | None = None
    env: list[Object] = field(default_factory=list)
    env_from: str | None = None
    """A ConfigMap whose keys become variables."""
    cpu: str = "50m"
    memory: str = "64Mi"
    args: tuple[str, ...] = ()

    def spec(self, volume: str) -> Object:
        """As in a pod's spec."""
        spec: dict[str, Any] = {
            "name": self.name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "resources": {
                "requests": {"cpu": self.cpu, "memory": self.memory},
                "limits": {"memory": self.memory},
            },
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "volumeMounts": [
                {
                    "name": volume,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                    "readOnly": True,
                }
            ],
        }
        if self.args:
            spec["args"] = list(self.args)
        if self.port:
            spec["ports"] = [{"name": "http", "containerPort": self.port, "protocol": "TCP"}]
            probe = {"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}}
            spec["readinessProbe"] = probe | {
                "periodSeconds": 5, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3,
            }  # fmt: skip
        if self.env:
            spec["env"] = self.env
        if self.env_from:
            spec["envFrom"] = [{"configMapRef": {"name": self.env_from}}]
        return spec


def template(container: Container, labels: dict[str, str]) -> Object:
    """A workload's pod template. The server adds tokens and tolerations only to pods."""
    spec = container.spec("")
    del spec["volumeMounts"]
    return {
        "metadata": {"labels": labels},
        "spec": {
            "containers": [spec],
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30,
            "securityContext": {},
        },
    }


def pod(
    world: World,
    name: str,
    namespace: str,
    container: Container,
    *,
    node: str | None,
    age: float,
    labels: dict[str, str] | None = None,
    owner: Object | None = None,
) -> Object:
    """A pod that runs well, or with no node one that waits."""
    volume = f"{_TOKEN_VOLUME}-{suffix(name, 5)}"
    made: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta("Pod", name, namespace, age, labels=labels, owner=owner),
        "spec": {
            "containers": [container.spec(volume)],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "schedulerName": "default-scheduler",
            "priority": 0,
            "enableServiceLinks": True,
            "securityContext": {},
            "tolerations": _TOLERATIONS,
            "volumes": [_token_volume(volume)],
        },
        "status": {
            "phase": "Pending",
            "qosClass": "Burstable",
            "startTime": timestamp(age),
            "conditions": [],
        },
    }
    if node is not None:
        made["spec"]["nodeName"] = node
        _placed(world, made, node, age)
        _running(made, container, age)
    return world.add(made)


def _token_volume(name: str) -> Object:
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    return {"name": name, "projected": {"defaultMode": 420, "sources": sources}}


def _placed(world: World, made: Object, node: str, age: float) -> None:
    address = world.address(node)
    made["status"] |= {
        "hostIP": node_address(node),
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            condition("PodReadyToStartContainers", "True", age - 1),
            condition("Initialized", "True", age),
            condition("Ready", "True", age - 3),
            condition("ContainersReady", "True", age - 3),
            condition("PodScheduled", "True", age),
        ],
    }


def _running(made: Object, container: Container, age: float) -> None:
    name = made["metadata"]["name"]
    made["status"]["phase"] = "Running"
    made["status"]["containerStatuses"] = [
        {
            "name": container.name,
            "ready": True,
            "started": True,
            "restartCount": 0,
            "image": container.image,
            "imageID": f"{container.image.partition(':')[0]}@sha256:{hexadecimal(container.image)}",
            "containerID": f"containerd://{hexadecimal(name)}",
            "state": {"running": {"startedAt": timestamp(age - 2)}},
            "lastState": {},
        }
    ]


def scheduled(world: World, made: Object, age: float) -> None:
    """The scheduler's event."""
    name, namespace, node = made["metadata"]["name"], made["metadata"]["namespace"], made["spec"]["nodeName"]
    message = f"Successfully assigned {namespace}/{name} to {node}"
    world.event(made, By("default-scheduler"), "Scheduled", message, When(age))


def started(world: World, made: Object, age: float) -> None:
    """The events of a pod that began without trouble."""
    status, by = made["status"]["containerStatuses"][0], kubelet_of(made)
    present = f'Container image "{status["image"]}" already present on machine'
    scheduled(world, made, age)
    world.event(made, by, "Pulled", present, When(age - 1))
    world.event(made, by, "Created", f"Created container: {status['name']}", When(age - 1))
    world.event(made, by, "Started", f"Started container {status['name']}", When(age - 2))


def kubelet_of(made: Object) -> By:
    """The kubelet that looks after a pod's container."""
    return By("kubelet", made["spec"]["nodeName"], f"spec.containers{{{made['spec']['containers'][0]['name']}}}")
