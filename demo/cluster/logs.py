"""`kubectl logs`: what a container wrote, cut as asked."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from demo.cluster.store import ContainerLog, Lines, Logs
from demo.cluster.types import Object

_CHUNK_LINES = 500


class NoLog(Exception):  # noqa: N818  # reads as what it says
    """There is no such log; the sentence is the server's."""


def container_of(pod: Object, asked: str | None) -> str:
    """The container whose log is wanted. Raises NoLog."""
    name = pod["metadata"]["name"]
    containers = [container["name"] for container in pod["spec"]["containers"]]
    if asked is None and len(containers) > 1:
        raise NoLog(f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]")
    if asked is not None and asked not in containers:
        raise NoLog(f"container {asked} is not valid for pod {name}")
    return asked or str(containers[0])


def lines_of(logs: Logs, pod: Object, container: str, *, previous: bool) -> Lines:
    """All lines of a container's present or previous life. Raises NoLog."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    statuses = pod["status"].get("containerStatuses", [])
    status = next((status for status in statuses if status["name"] == container), None)
    if status is None:
        return ()
    waiting = status["state"].get("waiting", {})
    if "Image" in waiting.get("reason", ""):
        why = "trying and failing to pull image"
        raise NoLog(f'container "{container}" in pod "{name}" is waiting to start: {why}')
    if previous and not status.get("lastState"):
        raise NoLog(f'previous terminated container "{container}" in pod "{name}" not found')
    log = logs.get((namespace, name, container), ContainerLog())
    return log.previous if previous else log.current


def cut(lines: Lines, query: Mapping[str, str]) -> Lines:
    """Apply `sinceSeconds`, `sinceTime` and `tailLines`. Raises ValueError for what can't be read."""
    if "sinceSeconds" in query:
        begin = time.time() - int(query["sinceSeconds"])
        lines = tuple(line for line in lines if line[0] >= begin)
    if "sinceTime" in query:
        begin = datetime.fromisoformat(query["sinceTime"]).timestamp()
        lines = tuple(line for line in lines if line[0] >= begin)
    if "tailLines" in query:
        tail = int(query["tailLines"])
        if tail < 0:
            raise ValueError("tailLines: must be greater than or equal to 0")
        lines = lines[len(lines) - min(tail, len(lines)) :]
    return lines


def written(lines: Lines, *, timestamps: bool, limit: int | None) -> Iterator[bytes]:
    """The bytes as the kubelet sends them, in chunks."""
    left = limit
    for start in range(0, len(lines), _CHUNK_LINES):
        text = "".join(
            f"{_nanoseconds(moment)} {line}\n" if timestamps else f"{line}\n"
            for moment, line in lines[start : start + _CHUNK_LINES]
        )
        data = text.encode()
        if left is not None:
            data, left = data[:left], left - min(left, len(data))
        yield data


def _nanoseconds(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
