"""The objects, by type, namespace and name; and what containers wrote. They are data: the YAML files in objects/.

Each file is as `kubectl get … -o yaml` prints it, with the time at which it was recorded:

    recorded: 2026-11-28T12:00:00Z
    items:
    - {apiVersion: v1, kind: Pod, metadata: {…}, spec: {…}, status: {…}}
    - {kind: Log, metadata: {name: POD, namespace: …}, container: …, current: …, previous: …}

When it is loaded, every time in it is moved, so that what was a minute old then is a minute old now. uids that are left
out are made up. A Log holds what `kubectl logs --timestamps` printed.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demo.cluster.ages import seconds_of, shifted
from demo.cluster.types import Object, ResourceType, type_of

OBJECTS = Path(__file__).with_name("objects")
_NAMESPACE = uuid.UUID("6f1d2c1e-70a4-4f0e-9c55-3f4a0c6a8e11")
_Log = Mapping[str, Any]


class BadObject(ValueError):  # noqa: N818  # reads as what it says
    """A file in objects/ can't be used; the sentence says which and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a container wrote, and when."""

    at: float
    text: str


class Store:
    """All objects of the cluster. Raises BadObject."""

    def __init__(self, folder: Path = OBJECTS) -> None:
        self._by_type: dict[ResourceType, dict[tuple[str, str], Object]] = defaultdict(dict)
        self._logs: dict[tuple[str, str, str], _Log] = {}
        for path in sorted(folder.rglob("*.yaml")):
            for number, thing in enumerate(_items(path), 1):
                try:
                    self._add(thing)
                except (KeyError, TypeError) as error:
                    where = f"{path}, item {number} ({_named(thing)})"
                    raise BadObject(f"{where}: {error} is missing, or is no type of types.yaml") from error
        for things in self._by_type.values():
            for thing in things.values():
                self._refer(thing)

    def _add(self, thing: Object) -> None:
        metadata = thing["metadata"]
        place = metadata.get("namespace", ""), metadata["name"]
        if thing["kind"] == "Log":
            self._logs[*place, thing["container"]] = thing
            return
        uid = uuid.uuid5(_NAMESPACE, "/".join((thing["kind"], *place)))
        made_up = {"uid": str(uid), "resourceVersion": str(100_000 + uid.int % 900_000)}
        self._by_type[type_of(thing)][place] = thing | {"metadata": made_up | metadata}

    def _refer(self, thing: Object) -> None:
        """Write the uid of each object that this one speaks of."""
        namespace = thing["metadata"].get("namespace", "")
        for owner in thing["metadata"].get("ownerReferences", ()):
            owner.update(self._reference(owner, namespace))
        if "involvedObject" in thing:
            thing["involvedObject"].update(
                {"namespace": namespace} | self._reference(thing["involvedObject"], namespace)
            )

    def _reference(self, reference: Object, namespace: str) -> Object:
        named = {"apiVersion": "v1"} | reference
        kind = next(
            (kind for kind in self._by_type if (kind.group_version, kind.kind) == (named["apiVersion"], named["kind"])),
            None,
        )
        about = kind and (self.one(kind, namespace, named["name"]) or self.one(kind, "", named["name"]))
        return {"apiVersion": named["apiVersion"]} | ({"uid": about["metadata"]["uid"]} if about else {})

    def one(self, kind: ResourceType, namespace: str, name: str) -> Object | None:
        """An object by name."""
        return self._by_type[kind].get((namespace, name))

    def many(self, kind: ResourceType, namespace: str) -> list[Object]:
        """All objects of a type, in one namespace or (empty) in all, in the server's order."""
        things = self._by_type[kind]
        return [things[key] for key in sorted(things) if not namespace or key[0] == namespace]

    def lines(self, namespace: str, pod: str, container: str, *, previous: bool) -> Iterator[Line]:
        """What a container wrote in its present life, or in the one before; oldest first."""
        log = self._logs.get((namespace, pod, container), {})
        for line in log.get("previous" if previous else "current", "").splitlines():
            at, _, text = line.partition(" ")
            yield Line(seconds_of(at), text)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Leaves times as the text that they are in Kubernetes."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def _items(path: Path) -> list[Object]:
    text = path.read_text(encoding="utf-8")
    try:
        recorded = text.partition("recorded: ")[2].partition("\n")[0]
        file = yaml.load(shifted(text, int(time.time() - seconds_of(recorded))), _Loader)  # noqa: S506  # it is a safe one
        items: list[Object] = file["items"]
    except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        raise BadObject(f"{path}: `recorded: TIME` and `items:` are wanted: {error}") from error
    return items


def _named(thing: Any) -> str:
    metadata = thing.get("metadata") or {} if isinstance(thing, dict) else {}
    return f"{thing.get('kind')} {metadata.get('name')}" if metadata else "no metadata"
