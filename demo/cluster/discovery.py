"""How a client learns which types there are: in one answer (aggregated), or group by group as before 1.26."""

from itertools import groupby
from typing import Any

from demo.cluster.types import TYPES, ResourceType

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
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


def wants_aggregated(accept: str) -> bool:
    """Whether the client asked for everything in one answer."""
    return any("as=APIGroupDiscoveryList" in kind and "v=v2;" in f"{kind};" for kind in accept.split(","))


def aggregated(*, core: bool) -> dict[str, Any]:
    """The answer for `/api` (the core group) or `/apis` (all others)."""
    groups = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [_aggregated_version(version, types) for version, types in versions.items()],
        }
        for group, versions in _groups().items()
        if (group == "") == core
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": groups,
    }


def core_versions() -> dict[str, Any]:
    """`/api` for an older client."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list() -> dict[str, Any]:
    """`/apis` for an older client."""
    groups = [
        {"name": group, "versions": (known := _versions(group, versions)), "preferredVersion": known[0]}
        for group, versions in _groups().items()
        if group
    ]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def resource_list(group: str, version: str) -> dict[str, Any] | None:
    """`/api/v1` or `/apis/GROUP/VERSION`; None if there is no such group."""
    types = _groups().get(group, {}).get(version)
    if types is None:
        return None
    resources = [row for kind in types for row in (_row(kind), *_subresource_rows(kind))]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": types[0].group_version,
        "resources": resources,
    }


def _groups() -> dict[str, dict[str, list[ResourceType]]]:
    groups: dict[str, dict[str, list[ResourceType]]] = {}
    for (group, version), types in groupby(TYPES, lambda kind: (kind.group, kind.version)):
        groups.setdefault(group, {}).setdefault(version, []).extend(types)
    return groups


def _versions(group: str, versions: dict[str, list[ResourceType]]) -> list[dict[str, str]]:
    return [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]


def _row(kind: ResourceType) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": kind.verbs,
    }
    if kind.short:
        row["shortNames"] = kind.short
    if kind.categories:
        row["categories"] = kind.categories
    return row


def _subresource_rows(kind: ResourceType) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{kind.plural}/{name}",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": ("get",),
        }
        for name in kind.subresources
    ]


def _aggregated_version(version: str, types: list[ResourceType]) -> dict[str, Any]:
    return {
        "version": version,
        "freshness": "Current",
        "resources": [_aggregated_row(kind) for kind in types],
    }


def _aggregated_row(kind: ResourceType) -> dict[str, Any]:
    response_kind = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    row: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": response_kind,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.kind.lower(),
        "verbs": kind.verbs,
    }
    if kind.short:
        row["shortNames"] = kind.short
    if kind.categories:
        row["categories"] = kind.categories
    if kind.subresources:
        row["subresources"] = [
            {"subresource": name, "responseKind": response_kind, "verbs": ("get",)} for name in kind.subresources
        ]
    return row
