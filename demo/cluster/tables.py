"""What `kubectl get` prints: the server lays it out, as Table objects."""

from collections.abc import Sequence

from demo.cluster.columns import columns_of
from demo.cluster.types import Object, ResourceType


def wants_table(accept: str) -> bool:
    """Whether the client asked the server to lay out the columns."""
    return "as=Table" in accept


def table(kind: ResourceType, things: Sequence[Object], *, whole_objects: bool) -> Object:
    """Rows for `things`. Each row carries its object, in full or (as by default) its metadata only."""
    columns = columns_of(kind)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "4711"},
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column.name == "Name" else "",
                "description": "",
                "priority": 1 if column.wide else 0,
            }
            for column in columns
        ],
        "rows": [
            {
                "cells": [column.value(thing) for column in columns],
                "object": _object(thing, whole=whole_objects),
            }
            for thing in things
        ],
    }


def _object(thing: Object, *, whole: bool) -> Object:
    if whole:
        return thing
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": thing["metadata"]}
