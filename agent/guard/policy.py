"""What may run here: everything of the tables, or less. A policy file is TOML; docs/guard.md has its keys. It can only
narrow what the tables allow, and say what of kubectl's output is taken out.
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from agent.errors import PolicyError
from agent.guard import resources
from agent.guard.operands import Flags
from agent.guard.refused import Refused, shown
from agent.guard.tables import AGENTS_OWN, GLOBAL, NAMESPACE, RAW_PATHS, VERBS, Flag, Verb, subcommands
from agent.model import Capabilities
from agent.redact import DEFAULT, REDACT_KEYS, Redaction, parse_redaction

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """How the tables are narrowed, by the keys of the policy file. None and empty mean that they aren't."""

    verbs: Names | None = None  # full names, as in "rollout status"
    types: Names | None = None
    denied_types: Names = ()
    """Plurals without their group. With a custom type among them, custom types must be written as plural and group: its
    short names are known to its cluster alone."""
    namespaces: Names | None = None
    cluster_types: Names = ()  # and paths for `--raw`
    namespaced_types: Names = ()
    max_output_bytes: int | None = None
    max_timeout_seconds: float | None = None
    redaction: Redaction = DEFAULT  # switching it off is all that a policy file can widen

    def allowed_verbs(self) -> list[Verb]:
        """The verbs that may run."""
        return [verb for verb in VERBS.values() if self.verbs is None or verb.name in self.verbs]

    def check_verb(self, verb: Verb) -> None:
        """Raise Refused if the policy file doesn't allow this verb."""
        if self.verbs is not None and verb.name not in self.verbs:
            allows = ", ".join(self.verbs)
            raise Refused("policy", f"{verb.name} is not allowed by this agent's policy file; it allows {allows}")

    def narrow(self, verb: Verb, types: Sequence[str], flags: Flags) -> Flags:
        """The flags to run with. Raises Refused, with the rule "policy", if the policy file takes this away."""
        for kind in types:
            self._check_type(verb, kind)
        if self.namespaces is None:
            return flags
        for kind in types:
            self._check_scope(verb, kind)
        if verb.name == "cluster-info" and "kube-system" not in self.namespaces:
            raise Refused("policy", "cluster-info reads the namespace kube-system, which the policy file doesn't allow")
        if not verb.namespaced:
            return flags
        asked, choice = flags.get("namespace", self.namespaces[:1])[0], " or ".join(self.namespaces)
        # Types that live in no namespace: -n and -A mean nothing, as for kubectl. Events of a node do have a namespace.
        if types and verb.name in ("get", "describe") and all(map(self._is_cluster_type, types)):
            asked = asked if asked in self.namespaces else self.namespaces[0]
            flags = {name: values for name, values in flags.items() if name != "all-namespaces"}
        elif flags.get("all-namespaces") == ["true"]:
            raise Refused("policy", f"--all-namespaces is not allowed here; use -n with {choice}")
        elif "namespace" not in flags and len(self.namespaces) > 1:
            raise Refused("policy", f"-n is missing; this agent reads {choice}")
        elif asked not in self.namespaces:
            raise Refused("policy", f"namespace {shown(asked)} is not allowed here; use -n with {choice}")
        return {**flags, "namespace": [asked]}

    def _check_type(self, verb: Verb, kind: str) -> None:
        if kind.startswith("/"):
            if "metrics.k8s.io" in kind and (self.types is not None or self.denied_types):
                raise Refused("policy", "this agent's policy file names types, not paths; use top instead")
            return
        # Who may read pods may ask `top` what they use.
        if self.types is not None and resources.plural(kind) not in self.types and kind not in verb.reads[1:]:
            allows = ", ".join(self.types)
            raise Refused("policy", f"{shown(kind)} may not be read by this agent's policy file; it allows {allows}")
        if self.denied_types and resources.may_be_among(kind, self.denied_types):
            how = "custom types are read only by plural and group, as in gateways.gateway.networking.k8s.io"
            raise Refused("policy", f"{shown(kind)} is denied by this agent's policy file, or may be; {how}")

    def _is_cluster_type(self, kind: str) -> bool:
        known = resources.plural(kind)
        return known in self.cluster_types or resources.MEASURED.get(known) in self.cluster_types

    def _check_scope(self, verb: Verb, kind: str) -> None:
        known = resources.plural(kind)
        if self._is_cluster_type(kind):
            # Their describe reads in namespaces, too: pods, quotas and limits.
            if verb.name == "describe" and resources.MEASURED.get(known, known) in ("nodes", "namespaces"):
                why = "lists what is in other namespaces, which the policy file doesn't allow"
                raise Refused("policy", f"describe {shown(kind)} {why}; use get {shown(kind)}")
        elif not resources.is_namespaced(kind) and known not in self.namespaced_types:
            only = f"this agent reads only {' or '.join(self.namespaces or ())}"
            keys = "its policy file can name it under cluster_types or, if it does live in one, namespaced_types"
            raise Refused("policy", f"{shown(kind)} is not known to live in a namespace, and {only}; {keys}")

    def capabilities(self) -> Capabilities:
        """What the API shows to people and models before they ask. The most important first: it takes only so many."""
        verbs = self.allowed_verbs()
        never_offered = AGENTS_OWN if self.namespaces is None else AGENTS_OWN | {"all-namespaces"}
        flags = [f for verb in verbs for f in verb.flags.values() if f.name not in never_offered]
        unread = [kind for kind in resources.OWN_TYPES if not self._reads(kind)]
        named = [name for name in resources.CREDENTIALS.values() if len(name) > 4]  # what people can make sense of
        return Capabilities(
            # "rollout status" says what runs; "rollout" alone is there for readers that compare a command's first word.
            verbs=_once(*(verb.name for verb in verbs), *(verb.name.split()[0] for verb in verbs)),
            restricted_types=_once(
                "secrets", *self.denied_types, *unread, "tokens", "passwords", "credentials", *named
            ),
            flags=_once(*(f"--{flag.name}" for flag in flags), *(f"-{flag.short}" for flag in flags if flag.short)),
        )

    def _reads(self, kind: str) -> bool:
        lives_here = self.namespaces is None or resources.is_namespaced(kind) or kind in self.cluster_types
        return lives_here and (self.types is None or kind in self.types)


def _once(*names: str) -> Names:
    return tuple(dict.fromkeys(names))


DEFAULT_POLICY = Policy()
KEYS = [field.name for field in fields(Policy) if field.name != "redaction"]
_LIMITS = {
    "max_output_bytes": ((int,), "a whole number of bytes from 1 up"),
    "max_timeout_seconds": ((int, float), "a number of seconds above 0"),
}


def parse_policy(text: str) -> Policy:
    """The policy in a file's text. Raises PolicyError if it isn't one, or would allow more than the tables do."""
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PolicyError(f"the policy file is not valid TOML: {error}") from error
    known = (*KEYS, *REDACT_KEYS)
    for key in found:
        if key not in known:
            raise PolicyError(f"{key} is not a key of a policy file; it knows {', '.join(known)}")
    read: dict[str, Any] = {key: _read(key, found[key]) for key in KEYS if key in found}
    redaction = parse_redaction(found)
    for key in ("cluster_types", "namespaced_types"):
        if key in read and "namespaces" not in read:
            raise PolicyError(f"{key} only makes sense with namespaces; add namespaces or drop it")
    return Policy(**read, redaction=redaction)


def _read(key: str, value: Any) -> Any:
    if key in _LIMITS:
        types, says = _LIMITS[key]
        if type(value) not in types or not 0 < value < float("inf"):
            raise PolicyError(f"{key} must be {says}")
        return value
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise PolicyError(f'{key} must be a list of at least one text, as in {key} = ["…"]')
    return _once(*(each for name in value for each in _names(key, name)))


def _names(key: str, name: str) -> Iterable[str]:
    """The names that one entry of a list stands for."""
    if key == "verbs":
        if name not in VERBS and not subcommands(name):
            why = "can't be allowed, a policy file only narrows"
            raise PolicyError(f'{key}: "{name}" {why}; it may name {", ".join(VERBS)}')
        return subcommands(name) or [name]
    if key == "namespaces" or (key == "cluster_types" and name.startswith("/")):
        rule = NAMESPACE if key == "namespaces" else RAW_PATHS
        if rule.complaint(name):
            raise PolicyError(f'{key}: "{name}" is not {rule.says}')
        return [name]
    if not resources.TYPE.fullmatch(name):
        raise PolicyError(f'{key}: "{name}" is not a resource type, as in pods or certificates.cert-manager.io')
    if resources.holds_credentials(name):
        raise PolicyError(f'{key}: "{name}" is never read, such objects hold credentials; drop it')
    if key == "cluster_types" and resources.is_namespaced(name):
        raise PolicyError(f'{key}: "{name}" lives in namespaces, and those of `namespaces` are read anyway; drop it')
    if key == "namespaced_types" and resources.is_own(name) and not resources.is_namespaced(name):
        raise PolicyError(f'{key}: "{name}" lives in no namespace; to have it read, name it under cluster_types')
    known = resources.plural(name)
    return [known.partition(".")[0] if key == "denied_types" else known]


def explain(policy: Policy) -> str:
    """Every verb and flag that may run, what each value may be, and what is never read."""
    narrowed = {key: getattr(policy, key) for key in KEYS if getattr(policy, key)}
    redaction = policy.redaction
    taken = "taken out of what kubectl prints, before it is kept or sent"
    off = "redaction is off: credentials that kubectl prints are kept and sent. Only this a policy file can widen."
    paragraphs = (
        *map(_explained, policy.allowed_verbs()),
        ["with every verb", *(_flag(flag) for flag in GLOBAL.values() if flag.name != "v")],
        [
            "never read, whatever the spelling",
            "types whose name ends in secret, token, password, credential, kubeconfig or keypair (or begins with",
            "kongcredential), unless they only point to one, as externalsecrets and sealedsecrets do",
            f"types that hold whole Secrets or what signs in: {' '.join(resources.CREDENTIALS.values())}",
            f"and only as a table: {' '.join(resources.TABLE_ONLY.values())}",
        ],
        [
            "narrowed by the policy file" if narrowed else "not narrowed by a policy file",
            *(f"{key}: {', '.join(v) if isinstance(v, tuple) else v}" for key, v in narrowed.items()),
        ],
        [taken, *(f"{rule.kind:<16} {rule.takes}" for rule in redaction.rules)] if redaction.on else [off],
        *([f"switched off by the policy file: {kind}"] for kind in redaction.off),
        ["Whatever else kubectl has is refused: what writes, what opens files or other servers, what doesn't end."],
    )
    return "\n\n".join(map("\n    ".join, paragraphs)) + "\n"


def _explained(verb: Verb) -> list[str]:
    own = (flag for flag in verb.flags.values() if flag.name not in GLOBAL)
    lines = [f"kubectl {verb.name} {verb.operands.says}".rstrip(), *map(_flag, own)]
    for when, given in (("always", verb.always), ("unless asked otherwise", verb.unless_asked)):
        if given:
            lines.append(f"{when} with {' '.join(f'--{name}={value}' for name, [value] in given.items())}")
    return lines


def _flag(flag: Flag) -> str:
    return f"{f'-{flag.short}' if flag.short else '  '} {f'--{flag.name}':<29} {flag.rule.says}".rstrip()
