"""What every cluster runs for itself."""

from demo.cluster.types import Object
from demo.cluster.world.build import NODES, World, config_map, meta
from demo.cluster.world.nodes import AGE, CONTROL, WORKERS
from demo.cluster.world.pods import Container, pod
from demo.cluster.world.workloads import daemon_set, deployment, service

_SPACE = "kube-system"
_IMAGES = "registry.k8s.io"


def add(world: World) -> None:
    """DNS, proxies, metrics and the control plane itself."""
    dns = Container(name="coredns", image=f"{_IMAGES}/coredns/coredns:v1.13.1", port=8080, cpu="100m", memory="70Mi")
    deployment(world, "coredns", _SPACE, dns, nodes=(CONTROL, CONTROL), age=AGE)
    service(world, "kube-dns", _SPACE, port=53, target=53, address="10.96.0.10", age=AGE)
    proxy = Container(name="kube-proxy", image=f"{_IMAGES}/kube-proxy:v1.36.4")
    daemon_set(world, "kube-proxy", _SPACE, proxy, nodes=NODES, age=AGE)
    metrics = Container(
        name="metrics-server",
        image=f"{_IMAGES}/metrics-server/metrics-server:v0.8.1",
        port=10250,
        memory="200Mi",
    )
    deployment(world, "metrics-server", _SPACE, metrics, nodes=WORKERS[:1], age=AGE - 3600)
    for name, version in (
        ("etcd", "3.6.8-0"),
        ("kube-apiserver", "v1.36.4"),
        ("kube-controller-manager", "v1.36.4"),
        ("kube-scheduler", "v1.36.4"),
    ):
        container = Container(name=name, image=f"{_IMAGES}/{name}:{version}", cpu="100m", memory="256Mi")
        labels = {"component": name, "tier": "control-plane"}
        pod(world, f"{name}-{CONTROL}", _SPACE, container, node=CONTROL, age=AGE, labels=labels)
    for namespace in ("default", _SPACE, "shop"):
        world.add(
            config_map("kube-root-ca.crt", namespace, AGE, {"ca.crt": "(the certificate of the sample cluster)\n"})
        )
    world.add(_kubernetes_service())


def _kubernetes_service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta("Service", "kubernetes", "default", AGE, labels={"component": "apiserver"}),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1"],
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            "sessionAffinity": "None",
        },
        "status": {"loadBalancer": {}},
    }
