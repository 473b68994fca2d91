"""The resource types that the sample cluster serves, as types.yaml has them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

READ = ("get", "list", "watch")
_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_NAME_AND_AGE = {"Name": "{metadata.name}", "Age": "{metadata.creationTimestamp:age}"}


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One row of `kubectl api-resources`."""

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    short: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL_VERBS
    subresources: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=_NAME_AND_AGE.copy, hash=False)

    @property
    def group_version(self) -> str:
        """As in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """Where its group and version begin in the URL."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


def _read(row: dict[str, Any]) -> ResourceType:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return ResourceType(**fields)


TYPES = tuple(map(_read, yaml.safe_load(Path(__file__).with_name("types.yaml").read_text(encoding="utf-8"))))

_BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in TYPES}
_BY_KIND = {(kind.group_version, kind.kind): kind for kind in TYPES}


def type_at(group: str, version: str, plural: str) -> ResourceType | None:
    """The type that a URL speaks of."""
    return _BY_PATH.get((group, version, plural))


def type_of(thing: Object) -> ResourceType:
    """The type of an object. Raises KeyError for one that types.yaml doesn't have."""
    return _BY_KIND[thing["apiVersion"], thing["kind"]]
