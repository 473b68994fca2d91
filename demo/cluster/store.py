"""The objects, by type, namespace and name; and what containers wrote."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from demo.cluster.types import Object, ResourceType, type_of

Lines = tuple[tuple[float, str], ...]
"""(time written, text), oldest first."""


@dataclass(frozen=True, slots=True)
class ContainerLog:
    """What one container wrote in its present life and in the one before."""

    current: Lines = ()
    previous: Lines = ()


Logs = Mapping[tuple[str, str, str], ContainerLog]
"""By namespace, pod and container."""


class Store:
    """All objects of the cluster."""

    def __init__(self, objects: Iterable[Object], logs: Logs) -> None:
        self._by_type: dict[ResourceType, dict[tuple[str, str], Object]] = defaultdict(dict)
        for thing in objects:
            metadata = thing["metadata"]
            self._by_type[type_of(thing)][metadata.get("namespace", ""), metadata["name"]] = thing
        self.logs = logs

    def one(self, kind: ResourceType, namespace: str, name: str) -> Object | None:
        """An object by name."""
        return self._by_type[kind].get((namespace, name))

    def many(self, kind: ResourceType, namespace: str) -> list[Object]:
        """All objects of a type, in one namespace or (empty) in all, in the server's order."""
        things = self._by_type[kind]
        return [things[key] for key in sorted(things) if not namespace or key[0] == namespace]


def seconds_since(timestamp: str | None) -> float:
    """Age of a Kubernetes timestamp; 0 for none."""
    if not timestamp:
        return 0.0
    return time.time() - datetime.fromisoformat(timestamp).timestamp()


def timestamp(seconds_ago: float = 0.0) -> str:
    """A Kubernetes timestamp, whole seconds in UTC."""
    return datetime.fromtimestamp(time.time() - seconds_ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def human_duration(seconds: float) -> str:
    """As in the AGE column: two units where the first is small, else one."""
    whole = max(int(seconds), 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    return f"{days}d"


def _two(first: int, first_unit: str, second: int, second_unit: str) -> str:
    return f"{first}{first_unit}" + (f"{second}{second_unit}" if second else "")
