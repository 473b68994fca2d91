"""Deployments, DaemonSets, StatefulSets, Jobs and Services, with what belongs to them."""

import time
from collections.abc import Sequence

from demo.cluster.store import timestamp
from demo.cluster.types import Object
from demo.cluster.world.build import World, condition, meta, suffix
from demo.cluster.world.pods import Container, pod, template
from demo.cluster.world.troubles import completed

REVISION = "deployment.kubernetes.io/revision"


def deployment(
    world: World,
    name: str,
    namespace: str,
    container: Container,
    *,
    nodes: Sequence[str],
    age: float,
    revision: int = 1,
    released: float | None = None,
) -> tuple[Object, Object]:
    """A deployment whose pods all run, one on each of `nodes`, and its replica set."""
    labels = {"app": name}
    count = len(nodes)
    annotations = {REVISION: str(revision)}
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta("Deployment", name, namespace, age, labels=labels, annotations=annotations)
        | {"generation": revision},
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": labels},
            "template": template(container, labels),
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "minReadySeconds": 0,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
        "status": {
            "observedGeneration": revision,
            "replicas": count,
            "updatedReplicas": count,
            "readyReplicas": count,
            "availableReplicas": count,
            "conditions": [
                condition(
                    "Available",
                    "True",
                    age,
                    "MinimumReplicasAvailable",
                    "Deployment has minimum availability.",
                ),
            ],
        },
    }
    world.add(made)
    replica_set = add_replica_set(world, made, container, revision=revision, nodes=nodes, age=released or age)
    progress = f'ReplicaSet "{replica_set["metadata"]["name"]}" has successfully progressed.'
    made["status"]["conditions"].append(condition("Progressing", "True", age, "NewReplicaSetAvailable", progress))
    return made, replica_set


def add_replica_set(
    world: World, owner: Object, container: Container, *, revision: int, nodes: Sequence[str], age: float
) -> Object:
    """One revision of a deployment, with its pods."""
    name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
    hashed = suffix(f"{name}/{revision}", 10)
    labels = {"app": name, "pod-template-hash": hashed}
    count = len(nodes)
    annotations = {
        "deployment.kubernetes.io/desired-replicas": str(owner["spec"]["replicas"]),
        "deployment.kubernetes.io/max-replicas": str(owner["spec"]["replicas"] + 1),
        REVISION: str(revision),
    }
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": meta("ReplicaSet", f"{name}-{hashed}", namespace, age,
                         labels=labels, annotations=annotations, owner=owner),
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": labels},
            "template": template(container, labels),
        },
        "status": {"replicas": count, "fullyLabeledReplicas": count, "readyReplicas": count,
                   "availableReplicas": count, "observedGeneration": 1},
    }  # fmt: skip
    world.add(made)
    for index, node in enumerate(nodes):
        pod_name = f"{name}-{hashed}-{suffix(f'{name}/{revision}/{index}', 5)}"
        pod(world, pod_name, namespace, container, node=node, age=age - 2 * index, labels=labels, owner=made)
    return made


def pods_of(world: World, owner: Object) -> list[Object]:
    """The pods that a replica set (or another owner) has."""
    uid = owner["metadata"]["uid"]
    return [
        thing
        for thing in world.objects
        if thing["kind"] == "Pod" and any(ref["uid"] == uid for ref in thing["metadata"].get("ownerReferences", []))
    ]


def stateful_set(world: World, name: str, namespace: str, container: Container, *, node: str, age: float) -> Object:
    """A stateful set of one."""
    labels = {"app": name}
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": meta("StatefulSet", name, namespace, age, labels=labels),
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": template(container, labels),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "podManagementPolicy": "OrderedReady",
        },
        "status": {"replicas": 1, "readyReplicas": 1, "currentReplicas": 1, "updatedReplicas": 1,
                   "availableReplicas": 1},
    }  # fmt: skip
    world.add(made)
    pod(world, f"{name}-0", namespace, container, node=node, age=age - 3, labels=labels, owner=made)
    return made


def daemon_set(
    world: World, name: str, namespace: str, container: Container, *, nodes: Sequence[str], age: float
) -> Object:
    """A daemon set with a pod on each node."""
    labels = {"k8s-app": name}
    count = len(nodes)
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": meta("DaemonSet", name, namespace, age, labels=labels),
        "spec": {
            "selector": {"matchLabels": labels},
            "template": template(container, labels),
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
            },
        },
        "status": {
            "desiredNumberScheduled": count,
            "currentNumberScheduled": count,
            "numberReady": count,
            "updatedNumberScheduled": count,
            "numberAvailable": count,
            "numberMisscheduled": 0,
        },
    }
    world.add(made)
    for node in nodes:
        pod(world, f"{name}-{suffix(f'{name}/{node}', 5)}", namespace, container,
            node=node, age=age - 5, labels=labels, owner=made)  # fmt: skip
    return made


def service(world: World, name: str, namespace: str, *, port: int, target: int, address: str, age: float) -> Object:
    """A service in front of the pods with `app: NAME`, and its endpoint slice."""
    labels = {"app": name}
    made = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta("Service", name, namespace, age, labels=labels),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "selector": labels,
            "ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": target}],
        },
        "status": {"loadBalancer": {}},
    }
    backends = [
        thing
        for thing in world.objects
        if thing["kind"] == "Pod"
        and thing["metadata"].get("namespace") == namespace
        and thing["metadata"].get("labels", {}).get("app") == name
        and "podIP" in thing["status"]
    ]
    world.add(_endpoint_slice(made, backends, target))
    return world.add(made)


def _endpoint_slice(owner: Object, backends: Sequence[Object], port: int) -> Object:
    name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
    labels = {"kubernetes.io/service-name": name}
    slice_name = f"{name}-{suffix(f'slice/{name}', 5)}"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta("EndpointSlice", slice_name, namespace, 0, owner=owner, labels=labels)
        | {"creationTimestamp": owner["metadata"]["creationTimestamp"]},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [thing["status"]["podIP"]],
                "conditions": {"ready": thing["status"]["containerStatuses"][0]["ready"]},
                "nodeName": thing["spec"]["nodeName"],
                "targetRef": {"kind": "Pod", "name": thing["metadata"]["name"], "namespace": namespace},
            }
            for thing in backends
        ],
    }


def cron_job(
    world: World, name: str, namespace: str, container: Container, *, node: str, age: float, last: float
) -> Object:
    """A cron job, and the job that it made `last` seconds ago."""
    labels = {"app": name}
    took = 41.0
    spec: Object = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 3,
        "template": template(container, labels),
    }
    spec["template"]["spec"]["restartPolicy"] = "Never"
    made: Object = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": meta("CronJob", name, namespace, age, labels=labels),
        "spec": {
            "schedule": "15 2 * * *",
            "suspend": False,
            "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": spec},
        },
        "status": {"lastScheduleTime": timestamp(last), "lastSuccessfulTime": timestamp(last - took)},
    }
    job_name = f"{name}-{int(time.time() - last) // 60}"
    labels = labels | {"batch.kubernetes.io/job-name": job_name}
    job: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta("Job", job_name, namespace, last, labels=labels, owner=made),
        "spec": spec | {"selector": {"matchLabels": {"batch.kubernetes.io/job-name": job_name}}, "suspend": False},
        "status": {
            "succeeded": 1,
            "startTime": timestamp(last),
            "completionTime": timestamp(last - took),
            "conditions": [condition("Complete", "True", last - took, "CompletionsReached")],
        },
    }
    one = pod(
        world,
        f"{job_name}-{suffix(name, 5)}",
        namespace,
        container,
        node=node,
        age=last,
        labels=labels,
        owner=job,
    )
    completed(one, started=last - 2, took=took - 2)
    world.add(job)
    return world.add(made)
