"""What may run here: everything of the tables, or less."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.guard.refused import Refused, shown
from agent.guard.resources import CATEGORIES, METRICS, is_among, is_cluster_scoped, is_namespaced, may_be_custom, plural
from agent.guard.tables import Verb
from agent.redact import DEFAULT, Redaction

Flags = Mapping[str, Sequence[str]]

_DESCRIBED_WITH: Mapping[str, str] = {
    "nodes": "the pods of all namespaces",
    "namespaces": "the quotas and limits of any namespace",
}
"""Types without a namespace, and what describe reads in namespaces for them."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the tables are narrowed. None and empty mean: not narrowed."""

    verbs: frozenset[str] | None = None
    """Full names, as in "rollout status"."""
    types: frozenset[str] | None = None
    """Only these types are read."""
    denied_types: frozenset[str] = frozenset()
    """These aren't read either, beside those that never are. Plurals without their group.

    With a custom type among them, custom types must be written as plural and group: its short names are known to its
    cluster alone."""
    namespaces: tuple[str, ...] | None = None
    """Only these are read; `-A` isn't allowed then."""
    cluster_types: frozenset[str] = frozenset()
    """With `namespaces`: cluster-scoped types (and paths for `--raw`) that may be read all the same."""
    namespaced_types: frozenset[str] = frozenset()
    """With `namespaces`: custom types that are known to live in namespaces."""
    max_output_bytes: int | None = None
    max_timeout_seconds: float | None = None
    redaction: Redaction = DEFAULT
    """Which credentials are taken out of what kubectl prints. Switching it off is all that a policy file can widen."""

    def narrow(self, verb: Verb, types: Sequence[str], flags: Flags) -> Flags:
        """The flags to run with.

        Raises:
            Refused: with the rule "policy", if the policy file takes this away.
        """
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
            sentence = f"{verb.name} is not allowed by this agent's policy file; it allows {_listed(self.verbs)}"
            raise Refused("policy", verb.name, sentence)

    def _check_type(self, verb: Verb, kind: str) -> None:
        if kind.startswith("/"):
            if "metrics.k8s.io" in kind and (self.types is not None or self.denied_types):
                raise Refused("policy", kind, "this agent's policy file names types, not paths; use top instead")
            return
        known = plural(kind)
        # Who may read pods may ask `top` what they use.
        if self.types is not None and known not in self.types and not (kind in verb.reads and verb.reads[0] != kind):
            sentence = f"{shown(kind)} may not be read by this agent's policy file; it allows {_listed(self.types)}"
            raise Refused("policy", kind, sentence)
        if self.denied_types and (is_among(kind, self.denied_types) or known in CATEGORIES):
            raise Refused("policy", kind, f"{shown(kind)} may not be read by this agent's policy file")
        if may_be_custom(kind, self.denied_types):
            sentence = (
                f"{shown(kind)} may be a type that this agent's policy file denies; write its plural and group, "
                "as in gateways.gateway.networking.k8s.io (api-resources lists them)"
            )
            raise Refused("policy", kind, sentence)

    def _is_cluster_type(self, kind: str) -> bool:
        known = plural(kind)
        return not self.cluster_types.isdisjoint({known, METRICS.get(known, known)})

    def _check_scope(self, verb: Verb, kind: str) -> None:
        known = plural(kind)
        if self._is_cluster_type(kind):
            known = METRICS.get(known, known)
            if verb.name == "describe" and known in _DESCRIBED_WITH:
                also = _DESCRIBED_WITH[known]
                sentence = f"describe {known} lists {also}, which the policy file doesn't allow; use get {known}"
                raise Refused("policy", kind, sentence)
        elif not is_namespaced(kind) and known not in self.namespaced_types:
            lives, keys = "is not known to live in a namespace", "cluster_types or namespaced_types"
            if is_cluster_scoped(kind):
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


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


DEFAULT_POLICY = Policy()
