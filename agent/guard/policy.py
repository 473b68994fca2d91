"""What may run here: everything of the tables, or less.

A policy file is TOML. It can only narrow what the tables allow, and say what of kubectl's output is taken out.

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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.guard import resources
from agent.guard.grammar import groups, verbs
from agent.guard.operands import Flags
from agent.guard.refused import Refused, shown
from agent.guard.tables import NAMESPACE, RAW_PATHS, Verb
from agent.redact import DEFAULT, REDACT_KEYS, Redaction, RedactionError, parse_redaction

_DESCRIBED_WITH: Mapping[str, str] = {
    "nodes": "the pods of all namespaces",
    "namespaces": "the quotas and limits of any namespace",
}
"""Types without a namespace, and what describe reads in namespaces for them."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the tables are narrowed, by the keys of the policy file. None and empty mean: not narrowed."""

    verbs: frozenset[str] | None = None  # full names, as in "rollout status"
    types: frozenset[str] | None = None
    denied_types: frozenset[str] = frozenset()
    """Plurals without their group. With a custom type among them, custom types must be written as plural and group: its
    short names are known to its cluster alone."""
    namespaces: tuple[str, ...] | None = None
    cluster_types: frozenset[str] = frozenset()  # and paths for `--raw`
    namespaced_types: frozenset[str] = frozenset()
    max_output_bytes: int | None = None
    max_timeout_seconds: float | None = None
    redaction: Redaction = DEFAULT  # switching it off is all that a policy file can widen

    def narrow(self, verb: Verb, types: Sequence[str], flags: Flags) -> Flags:
        """The flags to run with. Raises Refused, with the rule "policy", if the policy file takes this away."""
        for kind in types:
            self._check_type(verb, kind)
        if self.namespaces is None:
            return flags
        for kind in types:
            self._check_scope(verb, kind)
        if verb.name == "cluster-info" and "kube-system" not in self.namespaces:
            sentence = "cluster-info reads the namespace kube-system, which the policy file doesn't allow"
            raise Refused("policy", verb.name, sentence)
        if not verb.namespaced:
            return flags
        # Types that live in no namespace: -n and -A mean nothing, as for kubectl. Events of a node do have a namespace.
        if types and verb.name in ("get", "describe") and all(self._is_cluster_type(kind) for kind in types):
            given = [name for name in flags.get("namespace", ()) if name in self.namespaces]
            rest = {name: values for name, values in flags.items() if name != "all-namespaces"}
            return {**rest, "namespace": [*given, self.namespaces[0]][:1]}
        if flags.get("all-namespaces") == ["true"]:
            sentence = f"--all-namespaces is not allowed here; use -n with {self._choice()}"
            raise Refused("policy", "--all-namespaces", sentence)
        return {**flags, "namespace": [self._namespace(flags, self.namespaces)]}

    def check_verb(self, verb: Verb) -> None:
        """Raise Refused if the policy file doesn't allow this verb."""
        if self.verbs is not None and verb.name not in self.verbs:
            allows = ", ".join(sorted(self.verbs))
            sentence = f"{verb.name} is not allowed by this agent's policy file; it allows {allows}"
            raise Refused("policy", verb.name, sentence)

    def _check_type(self, verb: Verb, kind: str) -> None:
        if kind.startswith("/"):
            if "metrics.k8s.io" in kind and (self.types is not None or self.denied_types):
                raise Refused("policy", kind, "this agent's policy file names types, not paths; use top instead")
            return
        known = resources.plural(kind)
        # Who may read pods may ask `top` what they use.
        if self.types is not None and known not in self.types and not (kind in verb.reads and verb.reads[0] != kind):
            allows = ", ".join(sorted(self.types))
            sentence = f"{shown(kind)} may not be read by this agent's policy file; it allows {allows}"
            raise Refused("policy", kind, sentence)
        if self.denied_types and (resources.is_among(kind, self.denied_types) or known in resources.CATEGORIES):
            raise Refused("policy", kind, f"{shown(kind)} may not be read by this agent's policy file")
        if resources.may_be_custom(kind, self.denied_types):
            how = "write its plural and group, as in gateways.gateway.networking.k8s.io (api-resources lists them)"
            raise Refused("policy", kind, f"{shown(kind)} may be a type that this agent's policy file denies; {how}")

    def _is_cluster_type(self, kind: str) -> bool:
        known = resources.plural(kind)
        return not self.cluster_types.isdisjoint({known, resources.METRICS.get(known, known)})

    def _check_scope(self, verb: Verb, kind: str) -> None:
        known = resources.plural(kind)
        if self._is_cluster_type(kind):
            known = resources.METRICS.get(known, known)
            if verb.name == "describe" and known in _DESCRIBED_WITH:
                also = _DESCRIBED_WITH[known]
                sentence = f"describe {known} lists {also}, which the policy file doesn't allow; use get {known}"
                raise Refused("policy", kind, sentence)
        elif not resources.is_namespaced(kind) and known not in self.namespaced_types:
            lives, keys = "is not known to live in a namespace", "cluster_types or namespaced_types"
            if resources.is_cluster_scoped(kind):
                lives, keys = "is of the whole cluster", "cluster_types"
            only = f"this agent reads only {self._choice()}; its policy file can name it under {keys}"
            raise Refused("policy", kind, f"{shown(kind)} {lives}, and {only}")

    def _namespace(self, flags: Flags, allowed: tuple[str, ...]) -> str:
        if "namespace" not in flags and len(allowed) > 1:
            raise Refused("policy", "", f"-n is missing; this agent reads {self._choice()}")
        [name] = flags.get("namespace", allowed)
        if name not in allowed:
            sentence = f"namespace {shown(name)} is not allowed here; use -n with {self._choice()}"
            raise Refused("policy", name, sentence)
        return name

    def _choice(self) -> str:
        return " or ".join(self.namespaces or ())


DEFAULT_POLICY = Policy()


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
    if not resources.TYPE.fullmatch(kind):
        raise PolicyError(f'{key}: "{kind}" is not a resource type, as in pods or certificates.cert-manager.io')
    if resources.credentials(kind):
        raise PolicyError(f'{key}: "{kind}" is never read, such objects hold credentials; drop it')
    return resources.plural(kind)


def _namespaced_types(key: str, value: object) -> frozenset[str]:
    found = _types(key, value)
    for kind in filter(resources.is_cluster_scoped, found):
        raise PolicyError(f'{key}: "{kind}" lives in no namespace; to have it read, name it under cluster_types')
    return found


def _cluster_types(key: str, value: object) -> frozenset[str]:
    paths = {each for each in _texts(key, value) if each.startswith("/")}
    for path in filter(RAW_PATHS.complaint, paths):
        raise PolicyError(f'{key}: the path "{path}" is never read; it may be one of {RAW_PATHS.says}')
    types = frozenset(_type(key, each) for each in _texts(key, value) if each not in paths)
    for kind in filter(resources.is_namespaced, types):
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
