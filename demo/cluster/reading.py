"""One object, many, a table of them, a watch, or a log."""

import json
from collections.abc import AsyncIterator, Sequence

import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from demo.cluster import logs, metrics, status
from demo.cluster.selectors import BadSelector, fields_match, labels_match
from demo.cluster.store import Store
from demo.cluster.tables import table, wants_table
from demo.cluster.types import Object, ResourceType, type_at

_LONGEST_WATCH_SECONDS = 300
_YES = {"1", "true"}


class Reading:
    """A GET on objects of one type, in one namespace or (empty) in all."""

    def __init__(self, store: Store, kind: ResourceType, namespace: str, request: Request) -> None:
        self._store = store
        self._kind = kind
        self._namespace = namespace
        self._request = request
        self._query = dict(request.query_params)

    def answer(self, name: str, subresource: str) -> Response:
        """What the URL asks for."""
        if subresource not in {"", "log", "scale", "status"}:
            plural = f"{self._kind.plural}/{subresource}"
            return status.forbidden("get", self._kind.group, plural, namespace=self._namespace, name=name)
        if not name:
            return self._many()
        thing = self._one(name)
        if thing is None:
            return status.not_found(self._kind, name)
        if subresource == "log":
            return self._log(thing)
        if subresource == "scale":
            return JSONResponse(_scale(thing))
        return self._presented([thing], single=True)

    def _one(self, name: str) -> Object | None:
        thing = self._store.one(self._source, self._namespace, name)
        return self._measured(thing) if thing else None

    @property
    def _source(self) -> ResourceType:
        """Usage is computed from the pods and nodes themselves."""
        if self._kind.group != "metrics.k8s.io":
            return self._kind
        source = type_at("", "v1", self._kind.plural)
        if source is None:
            raise RuntimeError(f"no {self._kind.plural} to measure")
        return source

    def _measured(self, thing: Object) -> Object | None:
        if self._kind.kind == "PodMetrics":
            return metrics.pod_metrics(thing)
        return metrics.node_metrics(thing) if self._kind.kind == "NodeMetrics" else thing

    def _many(self) -> Response:
        try:
            by_label = labels_match(self._query.get("labelSelector", ""))
            by_field = fields_match(self._query.get("fieldSelector", ""), self._source)
        except BadSelector as error:
            return status.failure(400, str(error))
        found = [t for t in self._store.many(self._source, self._namespace) if by_label(t) and by_field(t)]
        things = [measured for thing in found if (measured := self._measured(thing))]
        if self._query.get("watch", "").lower() in _YES:
            return StreamingResponse(self._watch(things), media_type="application/json")
        return self._presented(things, single=False)

    def _presented(self, things: Sequence[Object], *, single: bool) -> Response:
        if wants_table(self._request.headers.get("accept", "")):
            whole = self._query.get("includeObject") == "Object"
            return JSONResponse(table(self._kind, things, whole_objects=whole))
        if single:
            return JSONResponse(things[0])
        return JSONResponse(
            {
                "kind": f"{self._kind.kind}List",
                "apiVersion": self._kind.group_version,
                "metadata": {"resourceVersion": "4711"},
                "items": [_without_type(thing) for thing in things],
            }
        )

    async def _watch(self, things: Sequence[Object]) -> AsyncIterator[bytes]:
        """Nothing ever changes here, so after the beginning a watch is silent until its time is up."""
        if self._query.get("sendInitialEvents", "").lower() in _YES:
            for thing in things:
                yield _line({"type": "ADDED", "object": thing})
            yield _line({"type": "BOOKMARK", "object": self._bookmark()})
        seconds = self._query.get("timeoutSeconds", "")
        await trio.sleep(min(int(seconds) if seconds.isdecimal() else _LONGEST_WATCH_SECONDS, _LONGEST_WATCH_SECONDS))

    def _bookmark(self) -> Object:
        annotations = {"k8s.io/initial-events-end": "true"}
        metadata = {"resourceVersion": "4711", "annotations": annotations}
        return {"kind": self._kind.kind, "apiVersion": self._kind.group_version, "metadata": metadata}

    def _log(self, pod: Object) -> Response:
        try:
            container = logs.container_of(pod, self._query.get("container"))
            previous = self._query.get("previous", "").lower() in _YES
            lines = logs.lines_of(self._store.logs, pod, container, previous=previous)
            lines = logs.cut(lines, self._query)
            limit = int(self._query["limitBytes"]) if "limitBytes" in self._query else None
        except (logs.NoLog, ValueError) as error:
            return status.failure(400, str(error))
        timestamps = self._query.get("timestamps", "").lower() in _YES
        data = b"".join(logs.written(lines, timestamps=timestamps, limit=limit))
        return Response(data, media_type="text/plain")


def _line(event: Object) -> bytes:
    return json.dumps(event).encode() + b"\n"


def _without_type(thing: Object) -> Object:
    """Items of a list carry no type of their own."""
    return {key: value for key, value in thing.items() if key not in {"apiVersion", "kind"}}


def _scale(thing: Object) -> Object:
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: thing["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")},
        "spec": {"replicas": thing["spec"]["replicas"]},
        "status": {"replicas": thing["status"]["replicas"]},
    }
