"""OpenAPI v3 for `kubectl explain`. The schemas are read off the sample objects: what is there is described."""

from collections.abc import Iterable
from typing import Any

from demo.cluster.store import Store
from demo.cluster.types import TYPES, Object, ResourceType

_WORDS = {
    "apiVersion": "The version of the API that this object is written in.",
    "kind": "The type of this object.",
    "metadata": "Name, namespace, labels and owners.",
    "spec": "What is wanted.",
    "status": "What is so, as last observed by the cluster.",
}
_SCALARS = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"))


def index() -> Object:
    """`/openapi/v3`: one document for each group and version."""
    roots = {kind.root.lstrip("/") for kind in TYPES}
    return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}?hash=sample"} for root in sorted(roots)}}


def document(store: Store, root: str) -> Object | None:
    """`/openapi/v3/ROOT`; None if there is no such group."""
    types = [kind for kind in TYPES if kind.root == f"/{root}" and "get" in kind.verbs]
    if not types:
        return None
    schemas: Object = {}
    for kind in types:
        described = _type_of(kind)
        schemas[_schema_name(kind)] = _merged(store.many(kind, ""), f"A {kind.kind}.") | {
            "x-kubernetes-group-version-kind": [described]
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.4"},
        "paths": {path: {"get": _operation(kind)} for kind in types for path in _paths(kind)},
        "components": {"schemas": schemas},
    }


def _type_of(kind: ResourceType) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _schema_name(kind: ResourceType) -> str:
    return f"sample.{kind.group or 'core'}.{kind.version}.{kind.kind}"


def _paths(kind: ResourceType) -> list[str]:
    space = "namespaces/{namespace}/" if kind.namespaced else ""
    return [f"{kind.root}/{space}{kind.plural}", f"{kind.root}/{space}{kind.plural}/{{name}}"]


def _operation(kind: ResourceType) -> Object:
    reference = {"$ref": f"#/components/schemas/{_schema_name(kind)}"}
    return {
        "x-kubernetes-action": "get",
        "x-kubernetes-group-version-kind": _type_of(kind),
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
    }


def _merged(values: Iterable[Any], words: str) -> Object:
    """One schema for all values that were seen in one place."""
    seen = [value for value in values if value is not None]
    objects = [value for value in seen if isinstance(value, dict)]
    if objects or not seen:
        names = sorted({name for value in objects for name in value})
        fields = {name: _merged((value.get(name) for value in objects), _WORDS.get(name, "")) for name in names}
        return {"type": "object", "description": words, "properties": fields}
    if isinstance(seen[0], list | tuple):
        items = _merged((item for value in seen for item in value), "")
        return {"type": "array", "description": words, "items": items}
    name = next(name for scalar, name in _SCALARS if isinstance(seen[0], scalar))
    return {"type": name, "description": words}
