"""The resource types that the sample cluster serves."""

from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

READ = ("get", "list", "watch")
_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One row of `kubectl api-resources`."""

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    short: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL_VERBS
    subresources: tuple[str, ...] = ()
    fields: tuple[str, ...] = field(default=())
    """Field selectors that the real server knows, besides metadata.name and metadata.namespace."""

    @property
    def group_version(self) -> str:
        """As in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """The kind in lower case, as for all built-in types."""
        return self.kind.lower()

    @property
    def root(self) -> str:
        """Where its group and version begin in the URL."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)
_ALL = ("all",)
_REVIEW: dict[str, Any] = {"namespaced": False, "verbs": ("create",)}

TYPES = (
    ResourceType("configmaps", "ConfigMap", short=("cm",)),
    ResourceType("endpoints", "Endpoints", short=("ep",)),
    ResourceType("events", "Event", short=("ev",), fields=_EVENT_FIELDS),
    ResourceType("limitranges", "LimitRange", short=("limits",)),
    ResourceType(
        "namespaces",
        "Namespace",
        short=("ns",),
        namespaced=False,
        subresources=("status",),
        fields=("status.phase",),
    ),
    ResourceType(
        "nodes",
        "Node",
        short=("no",),
        namespaced=False,
        subresources=("proxy", "status"),
        fields=("spec.unschedulable",),
    ),
    ResourceType("persistentvolumeclaims", "PersistentVolumeClaim", short=("pvc",), subresources=("status",)),
    ResourceType("persistentvolumes", "PersistentVolume", short=("pv",), namespaced=False),
    ResourceType(
        "pods",
        "Pod",
        short=("po",),
        categories=_ALL,
        subresources=("attach", "exec", "log", "portforward", "proxy", "status"),
        fields=_POD_FIELDS,
    ),
    ResourceType("replicationcontrollers", "ReplicationController", short=("rc",), categories=_ALL),
    ResourceType("resourcequotas", "ResourceQuota", short=("quota",)),
    ResourceType("secrets", "Secret", fields=("type",)),
    ResourceType("serviceaccounts", "ServiceAccount", short=("sa",), subresources=("token",)),
    ResourceType("services", "Service", short=("svc",), categories=_ALL, subresources=("proxy", "status")),
    ResourceType("daemonsets", "DaemonSet", "apps", short=("ds",), categories=_ALL, subresources=("status",)),
    ResourceType(
        "deployments",
        "Deployment",
        "apps",
        short=("deploy",),
        categories=_ALL,
        subresources=("scale", "status"),
    ),
    ResourceType("replicasets", "ReplicaSet", "apps", short=("rs",), categories=_ALL, subresources=("scale", "status")),
    ResourceType(
        "statefulsets",
        "StatefulSet",
        "apps",
        short=("sts",),
        categories=_ALL,
        subresources=("scale", "status"),
    ),
    ResourceType("selfsubjectreviews", "SelfSubjectReview", "authentication.k8s.io", **_REVIEW),
    ResourceType("selfsubjectaccessreviews", "SelfSubjectAccessReview", "authorization.k8s.io", **_REVIEW),
    ResourceType("selfsubjectrulesreviews", "SelfSubjectRulesReview", "authorization.k8s.io", **_REVIEW),
    ResourceType(
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "autoscaling",
        "v2",
        short=("hpa",),
        categories=_ALL,
    ),
    ResourceType("cronjobs", "CronJob", "batch", short=("cj",), categories=_ALL, subresources=("status",)),
    ResourceType("jobs", "Job", "batch", categories=_ALL, subresources=("status",)),
    ResourceType("leases", "Lease", "coordination.k8s.io"),
    ResourceType("endpointslices", "EndpointSlice", "discovery.k8s.io"),
    ResourceType("nodes", "NodeMetrics", "metrics.k8s.io", "v1beta1", namespaced=False, verbs=("get", "list")),
    ResourceType("pods", "PodMetrics", "metrics.k8s.io", "v1beta1", verbs=("get", "list")),
    ResourceType("ingresses", "Ingress", "networking.k8s.io", short=("ing",), subresources=("status",)),
    ResourceType("networkpolicies", "NetworkPolicy", "networking.k8s.io", short=("netpol",)),
    ResourceType("poddisruptionbudgets", "PodDisruptionBudget", "policy", short=("pdb",)),
    ResourceType("storageclasses", "StorageClass", "storage.k8s.io", short=("sc",), namespaced=False),
)

_BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in TYPES}
_BY_KIND = {(kind.group_version, kind.kind): kind for kind in TYPES}


def type_at(group: str, version: str, plural: str) -> ResourceType | None:
    """The type that a URL speaks of."""
    return _BY_PATH.get((group, version, plural))


def type_of(thing: Object) -> ResourceType:
    """The type of an object."""
    return _BY_KIND[thing["apiVersion"], thing["kind"]]
