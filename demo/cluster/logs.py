"""`kubectl logs`: what a container wrote, cut as asked."""

import time
from collections.abc import Iterable, Mapping

from demo.cluster.ages import seconds_of, written
from demo.cluster.store import Line, Store
from demo.cluster.types import Object


class NoLog(Exception):  # noqa: N818  # reads as what it says
    """There is no such log; the sentence is the server's."""


def log(store: Store, pod: Object, query: Mapping[str, str], *, previous: bool, timestamps: bool) -> bytes:
    """What the URL asks for. Raises NoLog, and ValueError for a number or a time that can't be read."""
    container = _container(pod, query.get("container"), previous=previous)
    lines = store.lines(pod["metadata"]["namespace"], pod["metadata"]["name"], container, previous=previous)
    text = "".join(
        f"{written(line.at)} {line.text}\n" if timestamps else f"{line.text}\n" for line in _cut(lines, query)
    )
    return text.encode()[: int(query["limitBytes"]) if "limitBytes" in query else None]


def _container(pod: Object, asked: str | None, *, previous: bool) -> str:
    name = pod["metadata"]["name"]
    containers = [c["name"] for key in ("containers", "initContainers") for c in pod["spec"].get(key, ())]
    if asked is None and len(pod["spec"]["containers"]) > 1:
        raise NoLog(f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]")
    if asked is not None and asked not in containers:
        raise NoLog(f"container {asked} is not valid for pod {name}")
    container = asked or str(containers[0])
    statuses = [s for key in ("containerStatuses", "initContainerStatuses") for s in pod["status"].get(key, ())]
    status = next((status for status in statuses if status["name"] == container), None)
    if status and "Image" in status["state"].get("waiting", {}).get("reason", ""):
        why = "trying and failing to pull image"
        raise NoLog(f'container "{container}" in pod "{name}" is waiting to start: {why}')
    if status and previous and not status.get("lastState"):
        raise NoLog(f'previous terminated container "{container}" in pod "{name}" not found')
    return container


def _cut(lines: Iterable[Line], query: Mapping[str, str]) -> list[Line]:
    begin = 0.0
    if "sinceSeconds" in query:
        begin = time.time() - int(query["sinceSeconds"])
    if "sinceTime" in query:
        begin = seconds_of(query["sinceTime"])
    kept = [line for line in lines if line.at >= begin]
    tail = int(query.get("tailLines", len(kept)))
    if tail < 0:
        raise ValueError("tailLines: must be greater than or equal to 0")
    return kept[max(len(kept) - tail, 0) :]
