"""The columns of each type, as the API server has them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from demo.cluster.pod_status import pod_ready, pod_restarts, pod_status
from demo.cluster.store import human_duration, seconds_since
from demo.cluster.types import Object, ResourceType

_NONE = "<none>"


class Column(NamedTuple):
    """One column: its header, what is in it, and whether only `-o wide` shows it."""

    name: str
    value: Callable[[Object], Any]
    wide: bool = False
    type: str = "string"


def _age(thing: Object) -> str:
    return human_duration(seconds_since(thing["metadata"].get("creationTimestamp")))


def _pairs(labels: dict[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in (labels or {}).items()) or _NONE


def _template(thing: Object) -> Object:
    spec = thing["spec"]
    if "jobTemplate" in spec:
        spec = spec["jobTemplate"]["spec"]
    template: Object = spec["template"]["spec"]
    return template


def _selector(thing: Object) -> str:
    return _pairs(thing["spec"].get("selector", {}).get("matchLabels"))


def _replicas(thing: Object) -> str:
    return f"{thing['status'].get('readyReplicas', 0)}/{thing['spec']['replicas']}"


def _pod_restarts(pod: Object) -> str:
    count, seconds_ago = pod_restarts(pod)
    return str(count) if seconds_ago is None else f"{count} ({human_duration(seconds_ago)} ago)"


def _ports(service: Object) -> str:
    ports = [
        f"{port['port']}:{port['nodePort']}/{port['protocol']}"
        if "nodePort" in port
        else f"{port['port']}/{port['protocol']}"
        for port in service["spec"].get("ports", [])
    ]
    return ",".join(ports) or _NONE


def _node_status(node: Object) -> str:
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
    status = "Ready" if ready else "NotReady"
    return f"{status},SchedulingDisabled" if node["spec"].get("unschedulable") else status


def _node_roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    roles = [key.removeprefix(prefix) for key in node["metadata"]["labels"] if key.startswith(prefix)]
    return ",".join(sorted(roles)) or _NONE


def _node_address(node: Object, kind: str) -> str:
    return next((a["address"] for a in node["status"]["addresses"] if a["type"] == kind), _NONE)


def _event_source(event: Object) -> str:
    source = event["source"]
    return f"{source['component']}, {source['host']}" if "host" in source else str(source["component"])


def _job_duration(job: Object) -> str:
    start, end = job["status"].get("startTime"), job["status"].get("completionTime")
    return human_duration(seconds_since(start) - seconds_since(end)) if start else ""


def _hpa_targets(hpa: Object) -> str:
    current = hpa["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"]
    return f"cpu: {current}%/{hpa['spec']['metrics'][0]['resource']['target']['averageUtilization']}%"


_NAME = Column("Name", lambda t: t["metadata"]["name"])
_AGE = Column("Age", _age)
_CONTAINERS = Column("Containers", lambda t: ",".join(c["name"] for c in _template(t)["containers"]), wide=True)
_IMAGES = Column("Images", lambda t: ",".join(c["image"] for c in _template(t)["containers"]), wide=True)
_SELECTOR = Column("Selector", _selector, wide=True)


def _number(name: str, *path: str) -> Column:
    def value(thing: Object) -> int:
        found: Any = thing
        for key in path:
            found = found.get(key, {})
        return found if isinstance(found, int) else 0

    return Column(name, value, type="integer")


_COLUMNS: dict[tuple[str, str], tuple[Column, ...]] = {
    ("", "pods"): (
        _NAME,
        Column("Ready", pod_ready),
        Column("Status", pod_status),
        Column("Restarts", _pod_restarts),
        _AGE,
        Column("IP", lambda t: t["status"].get("podIP", _NONE), wide=True),
        Column("Node", lambda t: t["spec"].get("nodeName", _NONE), wide=True),
        Column("Nominated Node", lambda _: _NONE, wide=True),
        Column("Readiness Gates", lambda _: _NONE, wide=True),
    ),
    ("", "nodes"): (
        _NAME,
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        _AGE,
        Column("Version", lambda t: t["status"]["nodeInfo"]["kubeletVersion"]),
        Column("Internal-IP", lambda t: _node_address(t, "InternalIP"), wide=True),
        Column("External-IP", lambda t: _node_address(t, "ExternalIP"), wide=True),
        Column("OS-Image", lambda t: t["status"]["nodeInfo"]["osImage"], wide=True),
        Column("Kernel-Version", lambda t: t["status"]["nodeInfo"]["kernelVersion"], wide=True),
        Column("Container-Runtime", lambda t: t["status"]["nodeInfo"]["containerRuntimeVersion"], wide=True),
    ),
    ("", "namespaces"): (_NAME, Column("Status", lambda t: t["status"]["phase"]), _AGE),
    ("", "configmaps"): (_NAME, Column("Data", lambda t: len(t.get("data", {})), type="integer"), _AGE),
    ("", "services"): (
        _NAME,
        Column("Type", lambda t: t["spec"]["type"]),
        Column("Cluster-IP", lambda t: t["spec"]["clusterIP"]),
        Column("External-IP", lambda _: _NONE),
        Column("Port(s)", _ports),
        _AGE,
        Column("Selector", lambda t: _pairs(t["spec"].get("selector")), wide=True),
    ),
    ("", "events"): (
        Column("Last Seen", lambda t: human_duration(seconds_since(t["lastTimestamp"]))),
        Column("Type", lambda t: t["type"]),
        Column("Reason", lambda t: t["reason"]),
        Column("Object", lambda t: f"{t['involvedObject']['kind'].lower()}/{t['involvedObject']['name']}"),
        Column("Subobject", lambda t: t["involvedObject"].get("fieldPath", ""), wide=True),
        Column("Source", _event_source, wide=True),
        Column("Message", lambda t: t["message"]),
        Column("First Seen", lambda t: human_duration(seconds_since(t["firstTimestamp"])), wide=True),
        Column("Count", lambda t: t["count"], wide=True, type="integer"),
        _NAME._replace(wide=True),
    ),
    ("", "persistentvolumeclaims"): (
        _NAME,
        Column("Status", lambda t: t["status"]["phase"]),
        Column("Volume", lambda t: t["spec"]["volumeName"]),
        Column("Capacity", lambda t: t["status"]["capacity"]["storage"]),
        Column("Access Modes", lambda _: "RWO"),
        Column("StorageClass", lambda t: t["spec"]["storageClassName"]),
        Column("VolumeAttributesClass", lambda _: "<unset>"),
        _AGE,
    ),
    ("apps", "deployments"): (
        _NAME,
        Column("Ready", _replicas),
        _number("Up-to-date", "status", "updatedReplicas"),
        _number("Available", "status", "availableReplicas"),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    ("apps", "replicasets"): (
        _NAME,
        _number("Desired", "spec", "replicas"),
        _number("Current", "status", "replicas"),
        _number("Ready", "status", "readyReplicas"),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    ("apps", "statefulsets"): (_NAME, Column("Ready", _replicas), _AGE, _CONTAINERS, _IMAGES),
    ("apps", "daemonsets"): (
        _NAME,
        _number("Desired", "status", "desiredNumberScheduled"),
        _number("Current", "status", "currentNumberScheduled"),
        _number("Ready", "status", "numberReady"),
        _number("Up-to-date", "status", "updatedNumberScheduled"),
        _number("Available", "status", "numberAvailable"),
        Column("Node Selector", lambda t: _pairs(_template(t).get("nodeSelector"))),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    ("batch", "jobs"): (
        _NAME,
        Column("Status", lambda t: "Complete" if t["status"].get("succeeded") else "Running"),
        Column("Completions", lambda t: f"{t['status'].get('succeeded', 0)}/{t['spec']['completions']}"),
        Column("Duration", _job_duration),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    ("batch", "cronjobs"): (
        _NAME,
        Column("Schedule", lambda t: t["spec"]["schedule"]),
        Column("Timezone", lambda t: t["spec"].get("timeZone", _NONE)),
        Column("Suspend", lambda t: str(t["spec"]["suspend"])),
        Column("Active", lambda t: len(t["status"].get("active", [])), type="integer"),
        Column("Last Schedule", lambda t: human_duration(seconds_since(t["status"]["lastScheduleTime"]))),
        _AGE,
        _CONTAINERS,
        _IMAGES,
    ),
    ("autoscaling", "horizontalpodautoscalers"): (
        _NAME,
        Column("Reference", lambda t: "{kind}/{name}".format(**t["spec"]["scaleTargetRef"])),
        Column("Targets", _hpa_targets),
        _number("MinPods", "spec", "minReplicas"),
        _number("MaxPods", "spec", "maxReplicas"),
        _number("Replicas", "status", "currentReplicas"),
        _AGE,
    ),
    ("networking.k8s.io", "ingresses"): (
        _NAME,
        Column("Class", lambda t: t["spec"]["ingressClassName"]),
        Column("Hosts", lambda t: ",".join(rule["host"] for rule in t["spec"]["rules"])),
        Column("Address", lambda t: t["status"]["loadBalancer"]["ingress"][0]["ip"]),
        Column("Ports", lambda _: "80"),
        _AGE,
    ),
    ("coordination.k8s.io", "leases"): (_NAME, Column("Holder", lambda t: t["spec"]["holderIdentity"]), _AGE),
}


def columns_of(kind: ResourceType) -> tuple[Column, ...]:
    """The columns of a type; those without any of their own show name and age."""
    return _COLUMNS.get((kind.group, kind.plural), (_NAME, _AGE))
