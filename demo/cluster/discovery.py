"""How a client learns which types there are: all in one answer, as kubectl 1.30 and later asks for it."""

from itertools import groupby
from typing import Any

from demo.cluster.types import TYPES, ResourceType

MEDIA_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.4",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2026-10-14T09:12:31Z",
    "goVersion": "go1.26.3",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def groups(*, core: bool) -> dict[str, Any]:
    """The answer for `/api` (the core group) or `/apis` (all others)."""
    found = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [{"version": version, "freshness": "Current", "resources": [_row(kind) for kind in kinds]}],
        }
        for (group, version), kinds in groupby(TYPES, lambda kind: (kind.group, kind.version))
        if (group == "") == core
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": found}


def _row(kind: ResourceType) -> dict[str, Any]:
    response_kind = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    return {
        "resource": kind.plural,
        "responseKind": response_kind,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.kind.lower(),
        "verbs": kind.verbs,
        "shortNames": kind.short,
        "categories": kind.categories,
        "subresources": [
            {"subresource": name, "responseKind": response_kind, "verbs": ("get",)} for name in kind.subresources
        ],
    }
