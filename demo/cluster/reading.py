"""One object, many, a table of them, a watch, or a log."""

import json
from collections.abc import AsyncIterator, Sequence

import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from demo.cluster import logs, status
from demo.cluster.columns import table, wants_table
from demo.cluster.selectors import BadSelector, fields_match, labels_match
from demo.cluster.store import Store
from demo.cluster.types import Object, ResourceType

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
        thing = self._store.one(self._kind, self._namespace, name)
        if thing is None:
            return status.not_found(self._kind, name)
        if subresource == "log":
            return self._log(thing)
        if subresource == "scale":
            return JSONResponse(_scale(thing))
        return self._presented([thing], single=True)

    def _many(self) -> Response:
        try:
            by_label = labels_match(self._query.get("labelSelector", ""))
            by_field = fields_match(self._query.get("fieldSelector", ""), self._kind)
        except BadSelector as error:
            return status.failure(400, str(error))
        things = [t for t in self._store.many(self._kind, self._namespace) if by_label(t) and by_field(t)]
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
        previous, timestamps = (self._query.get(name, "").lower() in _YES for name in ("previous", "timestamps"))
        try:
            text = logs.log(self._store, pod, self._query, previous=previous, timestamps=timestamps)
        except (logs.NoLog, ValueError) as error:
            return status.failure(400, str(error))
        return Response(text, media_type="text/plain")


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
