"""Makes objects as a cluster would hold them: metadata, owners, events."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demo.cluster.store import ContainerLog, timestamp
from demo.cluster.types import Object

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR

NODES = ("control-1", "worker-1", "worker-2")

_SPACE = uuid.UUID("6f1d2c1e-70a4-4f0e-9c55-3f4a0c6a8e11")


@dataclass(frozen=True, slots=True)
class By:
    """Who reports an event; a kubelet also says on which node, and of which container."""

    component: str
    host: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class When:
    """When it happened, in seconds ago, and how often."""

    first: float
    last: float | None = None
    count: int = 1


def node_address(node: str) -> str:
    """Where a node is in its own network."""
    return f"192.168.40.{11 + NODES.index(node)}"


class World:
    """Collects objects and what containers wrote."""

    def __init__(self) -> None:
        self.objects: list[Object] = []
        self.logs: dict[tuple[str, str, str], ContainerLog] = {}
        self._events = 0
        self._addresses: dict[str, int] = {}

    def add(self, thing: Object) -> Object:
        """Keep an object."""
        self.objects.append(thing)
        return thing

    def address(self, node: str) -> str:
        """The next pod address of a node."""
        self._addresses[node] = self._addresses.get(node, 3) + 1
        return f"10.244.{NODES.index(node)}.{self._addresses[node]}"

    def event(self, thing: Object, by: By, reason: str, message: str, when: When, *, warning: bool = False) -> None:
        """Something that happened to `thing`."""
        self._events += 1
        metadata = thing["metadata"]
        involved = {
            "apiVersion": thing["apiVersion"],
            "kind": thing["kind"],
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        }
        if by.field:
            involved["fieldPath"] = by.field
        name = f"{metadata['name']}.18{0x5A3F90 + self._events * 0x1D4B:06x}c0de"
        namespace = metadata.get("namespace", "default")
        self.add(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": meta("Event", name, namespace, when.first),
                "involvedObject": involved,
                "reason": reason,
                "message": message,
                "type": "Warning" if warning else "Normal",
                "count": when.count,
                "firstTimestamp": timestamp(when.first),
                "lastTimestamp": timestamp(when.first if when.last is None else when.last),
                "source": {"component": by.component, **({"host": by.host} if by.host else {})},
                "reportingComponent": by.component,
                "reportingInstance": by.host or "",
            }
        )


def meta(
    kind: str,
    name: str,
    namespace: str | None,
    age: float,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: Object | None = None,
) -> Object:
    """Metadata with a uid that stays the same from one demo to the next."""
    uid = uuid.uuid5(_SPACE, f"{kind}/{namespace}/{name}")
    metadata: dict[str, Any] = {
        "name": name,
        "uid": str(uid),
        "resourceVersion": str(100_000 + uid.int % 900_000),
        "creationTimestamp": timestamp(age),
    }
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = dict(labels)
    if annotations:
        metadata["annotations"] = dict(annotations)
    if owner:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return metadata


def hexadecimal(text: str, digits: int = 64) -> str:
    """A digest-like word for container and image ids, always the same for the same text."""
    word = "".join(uuid.uuid5(_SPACE, f"{text}/{part}").hex for part in range(2))
    return word[:digits]


def suffix(text: str, letters: int) -> str:
    """A random-looking suffix in Kubernetes' own alphabet, always the same for the same text."""
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    number = uuid.uuid5(_SPACE, text).int
    return "".join(alphabet[(number >> (8 * n)) % len(alphabet)] for n in range(letters))


def namespace_of(name: str, age: float) -> Object:
    """A namespace."""
    metadata = meta("Namespace", name, None, age, labels={"kubernetes.io/metadata.name": name})
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata,
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def config_map(name: str, namespace: str, age: float, data: Mapping[str, str]) -> Object:
    """A ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta("ConfigMap", name, namespace, age),
        "data": dict(data),
    }


def condition(kind: str, status: str, age: float, reason: str = "", message: str = "") -> Object:
    """A condition of a pod, a node or a workload."""
    made: dict[str, Any] = {"type": kind, "status": status, "lastTransitionTime": timestamp(age)}
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    return made
