"""What `kubectl get` prints: the server fills the columns of types.yaml and sends them as a Table object.

A column is a format string over the object: `{status.phase}` is a field, or `<none>`; `{data:count}` puts it through
the function of that name below, and `{self:pod_status}` the whole object.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from demo.cluster.ages import human_duration, seconds_since
from demo.cluster.types import Object, ResourceType

_NONE = "<none>"


def wants_table(accept: str) -> bool:
    """Whether the client asked the server to lay out the columns."""
    return "as=Table" in accept


def table(kind: ResourceType, things: Sequence[Object], *, whole_objects: bool) -> Object:
    """Rows for `things`. Each row carries its object, in full or (as by default) its metadata only."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "4711"},
        "columnDefinitions": [
            {
                "name": name.removeprefix("+"),
                "type": "string",
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": int(name.startswith("+")),
            }
            for name in kind.columns
        ],
        "rows": [
            {
                "cells": [column.format_map(_Fields(thing)) for column in kind.columns.values()],
                "object": thing if whole_objects else _metadata(thing),
            }
            for thing in things
        ],
    }


def _metadata(thing: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": thing["metadata"]}


class _Field:
    """A value, the values below it as attributes, and how a format string prints it."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __getattr__(self, name: str) -> "_Field":
        return _Field(self._value.get(name) if isinstance(self._value, Mapping) else None)

    def __format__(self, function: str) -> str:
        if function:
            return str(_FUNCTIONS[function](self._value))
        return _NONE if self._value is None else str(self._value)


class _Fields(dict[str, _Field]):
    def __init__(self, thing: Object) -> None:
        super().__init__({name: _Field(value) for name, value in thing.items()}, self=_Field(thing))

    def __missing__(self, name: str) -> _Field:
        return _Field(None)


def _joined(words: Iterable[str]) -> str:
    return ",".join(words) or _NONE


def _age(timestamp: str | None) -> str:
    return human_duration(seconds_since(timestamp))


def _ports(ports: Sequence[Object] | None) -> str:
    return _joined(f"{port['port']}/{port['protocol']}" for port in ports or ())


def _roles(labels: Mapping[str, str]) -> str:
    prefix = "node-role.kubernetes.io/"
    return _joined(sorted(label.removeprefix(prefix) for label in labels if label.startswith(prefix)))


def _node_status(node: Object) -> str:
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
    return ("Ready" if ready else "NotReady") + (",SchedulingDisabled" if node["spec"].get("unschedulable") else "")


def _internal_ip(addresses: Sequence[Object]) -> str:
    return next((a["address"] for a in addresses if a["type"] == "InternalIP"), _NONE)


def _source(event: Object) -> str:
    return ", ".join(event["source"].values())


def _job_duration(job: Object) -> str:
    start, end = job["status"].get("startTime"), job["status"].get("completionTime")
    return human_duration(seconds_since(start) - seconds_since(end)) if start else ""


def _cpu_targets(autoscaler: Object) -> str:
    now = autoscaler["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"]
    return f"cpu: {now}%/{autoscaler['spec']['metrics'][0]['resource']['target']['averageUtilization']}%"


def _statuses(pod: Object) -> list[Object]:
    statuses: list[Object] = pod["status"].get("containerStatuses", [])
    return statuses


def _pod_ready(pod: Object) -> str:
    return f"{sum(status['ready'] for status in _statuses(pod))}/{len(pod['spec']['containers'])}"


def _pod_status(pod: Object) -> str:
    """The phase, or what keeps a container from running."""
    reasons = (state.get("reason") for status in _statuses(pod) for state in status["state"].values())
    return str(next(filter(None, reasons), pod["status"]["phase"]))


def _pod_restarts(pod: Object) -> str:
    """How often its containers were restarted, and how long ago the last time was."""
    count = sum(status["restartCount"] for status in _statuses(pod))
    ends = [status["lastState"]["terminated"]["finishedAt"] for status in _statuses(pod) if status.get("lastState")]
    return f"{count} ({human_duration(min(map(seconds_since, ends)))} ago)" if count and ends else str(count)


_FUNCTIONS: Mapping[str, Callable[[Any], object]] = {
    "age": _age,
    "count": lambda things: len(things or ()),
    "cpu_targets": _cpu_targets,
    "empty": lambda text: text or "",
    "images": lambda containers: _joined(container["image"] for container in containers),
    "internal_ip": _internal_ip,
    "job_duration": _job_duration,
    "job_status": lambda job: "Complete" if job["status"].get("succeeded") else "Running",
    "lower": str.lower,
    "names": lambda containers: _joined(container["name"] for container in containers),
    "node_status": _node_status,
    "number": lambda number: number or 0,
    "pairs": lambda labels: _joined(f"{key}={value}" for key, value in (labels or {}).items()),
    "pod_ready": _pod_ready,
    "pod_restarts": _pod_restarts,
    "pod_status": _pod_status,
    "ports": _ports,
    "roles": _roles,
    "source": _source,
}
