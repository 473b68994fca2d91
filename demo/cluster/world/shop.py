"""The shop: healthy services, and three that are in trouble."""

from demo.cluster.store import ContainerLog
from demo.cluster.types import Object
from demo.cluster.world import chatter
from demo.cluster.world.build import DAY, HOUR, MINUTE, By, When, World, condition, config_map, meta
from demo.cluster.world.nodes import WORKER_A, WORKER_B, WORKERS
from demo.cluster.world.pods import Container, pod, started
from demo.cluster.world.troubles import crash_looping, image_missing, unschedulable
from demo.cluster.world.workloads import (
    add_replica_set,
    cron_job,
    deployment,
    pods_of,
    service,
    stateful_set,
)

SPACE = "shop"
RELEASED = 38 * MINUTE + 21  # the release of checkout that went wrong
_AGE = 71 * DAY + 5 * HOUR
_IMAGES = "registry.example.com/shop"


def add(world: World) -> None:
    """All of it."""
    _healthy(world)
    _checkout(world)
    _recommender(world)
    _report(world)
    for index, name in enumerate(("web", "catalog", "payments", "checkout", "orders-db")):
        port = 5432 if name == "orders-db" else 8080
        front = port if name == "orders-db" else 80
        service(world, name, SPACE, port=front, target=port, address=f"10.96.{40 + index}.17", age=_AGE)


def _healthy(world: World) -> None:
    for name, tag, nodes, age in (
        ("web", "7.14.2", (WORKER_A, WORKER_B, WORKER_A), 3 * DAY + 5 * HOUR),
        ("catalog", "2.31.0", (WORKER_B, WORKER_A), 9 * DAY + 2 * HOUR),
        ("payments", "5.6.1", (WORKER_A, WORKER_B), 26 * DAY + 7 * HOUR),
    ):
        container = Container(name=name, image=f"{_IMAGES}/{name}:{tag}", port=8080, cpu="100m", memory="128Mi")
        made, replica_set = deployment(world, name, SPACE, container, nodes=nodes, age=_AGE, released=age)
        for one in pods_of(world, replica_set):
            world.logs[SPACE, one["metadata"]["name"], name] = ContainerLog(chatter.requests(name, one))
        if name == "web":
            world.add(_autoscaler(made))
    database = Container(name="postgres", image="docker.io/library/postgres:17.6", cpu="250m", memory="512Mi")
    stateful_set(world, "orders-db", SPACE, database, node=WORKER_B, age=_AGE)
    world.logs[SPACE, "orders-db-0", "postgres"] = ContainerLog(chatter.postgres())
    world.add(_claim("data-orders-db-0"))
    nightly = Container(name="nightly-invoices", image=f"{_IMAGES}/invoices:1.9.0")
    cron_job(world, "nightly-invoices", SPACE, nightly, node=WORKER_A, age=_AGE, last=11 * HOUR)


def _checkout(world: World) -> None:
    """4.2.0 wants PAYMENT_GATEWAY_URL; the ConfigMap still says PAYMENTS_URL."""
    settings = {
        "LOG_LEVEL": "info",
        "ORDERS_DB": "orders-db.shop.svc:5432",
        "PAYMENTS_URL": "http://payments.shop.svc",
        "CATALOG_URL": "http://catalog.shop.svc",
    }
    world.add(config_map("checkout-config", SPACE, 26 * DAY, settings))
    old = _checkout_container("4.1.3")
    new = _checkout_container("4.2.0")
    made, replica_set = deployment(
        world,
        "checkout",
        SPACE,
        old,
        nodes=(WORKER_A, WORKER_B, WORKER_A),
        age=_AGE,
        revision=17,
        released=6 * DAY + 3 * HOUR,
    )
    for one in pods_of(world, replica_set):
        world.logs[SPACE, one["metadata"]["name"], "checkout"] = ContainerLog(chatter.requests("checkout", one))
    latest = add_replica_set(world, made, new, revision=18, nodes=(WORKER_B,), age=RELEASED)
    latest["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    for one in pods_of(world, latest):
        crash_looping(world, one, age=RELEASED, lives=2.0, exit_code=1)
        ends = one["status"]["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"]
        lines = chatter.checkout_crash(ends)
        world.logs[SPACE, one["metadata"]["name"], "checkout"] = ContainerLog(lines, lines)
    name = latest["metadata"]["name"]
    made["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "18"
    made["metadata"]["generation"] = 18
    made["spec"]["template"]["spec"]["containers"][0]["image"] = new.image
    made["status"] |= {
        "replicas": 4,
        "updatedReplicas": 1,
        "unavailableReplicas": 1,
        "observedGeneration": 18,
    }
    stuck = f'ReplicaSet "{name}" has timed out progressing.'
    made["status"]["conditions"][-1] = condition(
        "Progressing", "False", RELEASED - 600, "ProgressDeadlineExceeded", stuck
    )
    message = f"Scaled up replica set {name} from 0 to 1"
    world.event(made, By("deployment-controller"), "ScalingReplicaSet", message, When(RELEASED + 1))
    created = f"Created pod: {pods_of(world, latest)[0]['metadata']['name']}"
    world.event(latest, By("replicaset-controller"), "SuccessfulCreate", created, When(RELEASED + 1))


def _checkout_container(tag: str) -> Container:
    return Container(
        name="checkout",
        image=f"{_IMAGES}/checkout:{tag}",
        port=8080,
        env=[
            {
                "name": "POD_NAME",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
            }
        ],
        env_from="checkout-config",
        cpu="100m",
        memory="192Mi",
    )


def _recommender(world: World) -> None:
    age = 2 * HOUR + 7 * MINUTE
    container = Container(name="recommender", image=f"{_IMAGES}/recommender:2.3.0-rc1", port=8080)
    made, replica_set = deployment(world, "recommender", SPACE, container, nodes=(WORKER_A,), age=age)
    made["status"] |= {"readyReplicas": 0, "availableReplicas": 0, "unavailableReplicas": 1}
    short = "Deployment does not have minimum availability."
    made["status"]["conditions"][0] = condition("Available", "False", age, "MinimumReplicasUnavailable", short)
    replica_set["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    for one in pods_of(world, replica_set):
        image_missing(world, one, age=age)


def _report(world: World) -> None:
    age = 52 * MINUTE
    container = Container(name="report", image=f"{_IMAGES}/report:1.0.4", cpu="500m", memory="24Gi")
    made = pod(world, "report-2026", SPACE, container, node=None, age=age, labels={"app": "report"})
    why = (
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient memory. "
        "no new claims to deallocate, preemption: 0/3 nodes are available: "
        "3 Preemption is not helpful for scheduling."
    )
    unschedulable(world, made, age=age, why=why)
    debug = Container(name="shell", image="docker.io/library/busybox:1.37", args=("sleep", "86400"))
    shell = pod(
        world,
        "debug-shell",
        "default",
        debug,
        node=WORKERS[0],
        age=19 * MINUTE,
        labels={"run": "debug-shell"},
    )
    started(world, shell, 19 * MINUTE)


def _autoscaler(target: Object) -> Object:
    def cpu(**value: object) -> Object:
        return {"type": "Resource", "resource": {"name": "cpu", **value}}

    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta("HorizontalPodAutoscaler", target["metadata"]["name"], SPACE, _AGE),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": target["metadata"]["name"],
            },
            "minReplicas": 2,
            "maxReplicas": 8,
            "metrics": [cpu(target={"type": "Utilization", "averageUtilization": 70})],
        },
        "status": {
            "currentReplicas": 3,
            "desiredReplicas": 3,
            "currentMetrics": [cpu(current={"averageValue": "61m", "averageUtilization": 61})],
            "conditions": [],
        },
    }


def _claim(name: str) -> Object:
    metadata = meta("PersistentVolumeClaim", name, SPACE, _AGE, labels={"app": "orders-db"})
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}},
            "storageClassName": "standard",
            "volumeMode": "Filesystem",
            "volumeName": f"pvc-{metadata['uid']}",
        },
        "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "20Gi"}},
    }
