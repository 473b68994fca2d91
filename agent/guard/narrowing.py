"""The policy file: TOML in, a policy or a sentence out. It can only narrow what the tables allow, and say what of
kubectl's output is taken out.

verbs = ["get", "describe", "logs", "events"]      # of those that `guard --explain` lists
types = ["pods", "deployments", "nodes"]           # read these only …
denied_types = ["configmaps"]                      # … or, without `types`, everything but these
namespaces = ["prod", "staging"]                   # no -A, no other namespace, no cluster-scoped type …
cluster_types = ["nodes", "/readyz"]               # … but these
namespaced_types = ["certificates"]                # custom types that live in namespaces
max_output_bytes = 1048576
max_timeout_seconds = 30
redact = true                                      # the keys of redaction: docs/redaction.md
"""

from collections.abc import Callable, Mapping
from typing import Any

from agent.guard.grammar import groups, verbs
from agent.guard.policy import Policy
from agent.guard.resources import TYPE, credentials, is_cluster_scoped, is_namespaced, plural
from agent.guard.tables import NAMESPACE, RAW_PATHS
from agent.redact import REDACT_KEYS, RedactionError, parse_redaction


class PolicyError(Exception):
    """The policy file can't be used; the sentence names the key, what is wrong, and what would be right."""


def parse_policy(text: str) -> Policy:
    """The policy that a file's text describes.

    Raises:
        PolicyError: it isn't TOML, has an unknown key or a wrong type, or would allow more than the tables do.
    """
    import tomllib  # noqa: PLC0415  # 0.5 MB that only an agent with a policy file needs

    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PolicyError(f"the policy file is not valid TOML: {error}") from error
    for key in found:
        if key not in _READERS and key not in REDACT_KEYS:
            raise PolicyError(f"{key} is not a key of a policy file; it knows {', '.join((*_READERS, *REDACT_KEYS))}")
    read = {key: _READERS[key](key, value) for key, value in found.items() if key in _READERS}
    try:
        read["redaction"] = parse_redaction(found)
    except RedactionError as error:
        raise PolicyError(str(error)) from error
    for key in ("cluster_types", "namespaced_types"):
        if key in read and "namespaces" not in read:
            raise PolicyError(f"{key} only makes sense with namespaces; add namespaces or drop it")
    return Policy(**read)


def _texts(key: str, value: object) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise PolicyError(f'{key} must be a list of at least one text, as in {key} = ["…"]')
    return value


def _verbs(key: str, value: object) -> frozenset[str]:
    chosen: set[str] = set()
    for name in _texts(key, value):
        if name not in verbs():
            known = ", ".join(verbs())
            raise PolicyError(f'{key}: "{name}" can\'t be allowed, a policy file only narrows; it may name {known}')
        chosen |= {name, *(f"{name} {sub}" for sub in groups().get(name, ()))}
    return frozenset(chosen)


def _types(key: str, value: object) -> frozenset[str]:
    return frozenset(_type(key, kind) for kind in _texts(key, value))


def _type(key: str, kind: str) -> str:
    if not TYPE.fullmatch(kind):
        raise PolicyError(f'{key}: "{kind}" is not a resource type, as in pods or certificates.cert-manager.io')
    if credentials(kind):
        raise PolicyError(f'{key}: "{kind}" is never read, such objects hold credentials; drop it')
    return plural(kind)


def _namespaced_types(key: str, value: object) -> frozenset[str]:
    for kind in filter(is_cluster_scoped, _types(key, value)):
        raise PolicyError(f'{key}: "{kind}" lives in no namespace; to have it read, name it under cluster_types')
    return _types(key, value)


def _cluster_types(key: str, value: object) -> frozenset[str]:
    paths = {each for each in _texts(key, value) if each.startswith("/")}
    for path in filter(RAW_PATHS.complaint, paths):
        raise PolicyError(f'{key}: the path "{path}" is never read; it may be one of {RAW_PATHS.says}')
    types = frozenset(_type(key, each) for each in _texts(key, value) if each not in paths)
    for kind in filter(is_namespaced, types):
        raise PolicyError(f'{key}: "{kind}" lives in namespaces, and those of `namespaces` are read anyway; drop it')
    return types | paths


def _namespaces(key: str, value: object) -> tuple[str, ...]:
    names = _texts(key, value)
    for name in filter(NAMESPACE.complaint, names):
        raise PolicyError(f'{key}: "{name}" is not {NAMESPACE.says}')
    return tuple(dict.fromkeys(names))


def _bytes(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PolicyError(f"{key} must be a whole number of bytes from 1 up")
    return value


def _seconds(key: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise PolicyError(f"{key} must be a number of seconds above 0")
    return float(value)


_READERS: Mapping[str, Callable[[str, object], Any]] = {
    "verbs": _verbs,
    "types": _types,
    "denied_types": lambda key, value: frozenset(kind.partition(".")[0] for kind in _types(key, value)),
    "namespaces": _namespaces,
    "cluster_types": _cluster_types,
    "namespaced_types": _namespaced_types,
    "max_output_bytes": _bytes,
    "max_timeout_seconds": _seconds,
}
