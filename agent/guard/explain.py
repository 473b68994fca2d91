"""The effective policy, for people and for the API."""

from collections.abc import Iterable

from agent.guard.policy import DEFAULT_POLICY, KEYS, Policy
from agent.guard.resources import CREDENTIALS, OWN_TYPES, TABLE_ONLY, is_namespaced
from agent.guard.tables import AGENTS_OWN, GLOBAL, VERBS, Flag, Verb
from agent.model import Capabilities


def explain(policy: Policy) -> str:
    """Every verb and flag that may run, what each value may be, and what is never read."""
    narrowed = {key: getattr(policy, key) for key in KEYS if getattr(policy, key)}
    redaction = policy.redaction
    taken = "taken out of what kubectl prints, before it is kept or sent"
    off = "redaction is off: credentials that kubectl prints are kept and sent. Only this a policy file can widen."
    paragraphs = (
        *(_verb(verb) for verb in VERBS.values() if policy.verbs is None or verb.name in policy.verbs),
        _paragraph("with every verb", map(_flag, (flag for flag in GLOBAL.values() if flag.name != "v"))),
        _paragraph("never read, whatever the spelling", (
            "types whose name ends in secret, token, password, credential, kubeconfig or keypair (or begins with",
            "kongcredential), unless they only point to one, as externalsecrets and sealedsecrets do",
            f"types that hold whole Secrets or what signs in: {' '.join(CREDENTIALS.split())}",
            f"and only as a table: {' '.join(TABLE_ONLY.split())}",
        )),
        _paragraph(
            "narrowed by the policy file" if narrowed else "not narrowed by a policy file",
            (f"{key}: {', '.join(v) if isinstance(v, tuple) else v}" for key, v in narrowed.items()),
        ),
        _paragraph(taken, (f"{rule.kind:<16} {rule.takes}" for rule in redaction.rules)) if redaction.on else off,
        *(f"switched off by the policy file: {kind}" for kind in redaction.off),
        "Whatever else kubectl has is refused: what writes, what opens files or other servers, what doesn't end.",
    )  # fmt: skip
    return "\n\n".join(paragraphs) + "\n"


def _paragraph(first: str, rest: Iterable[str]) -> str:
    return "\n    ".join((first.rstrip(), *rest))


def _verb(verb: Verb) -> str:
    written = (("always", verb.always), ("unless asked otherwise", verb.unless_asked))
    added = (f"{when} with {' '.join(f'--{k}={v}' for k, v in given.items())}" for when, given in written if given)
    return _paragraph(f"kubectl {verb.name} {verb.operands.says}", (*map(_flag, verb.flags.values()), *added))


def _flag(flag: Flag) -> str:
    return f"{f'-{flag.short}' if flag.short else '  '} {f'--{flag.name}':<29} {flag.rule.says}".rstrip()


def capabilities(policy: Policy = DEFAULT_POLICY) -> Capabilities:
    """What the API shows to people and models before they ask. The most important first: it takes only so many."""
    verbs = [verb for verb in VERBS.values() if policy.verbs is None or verb.name in policy.verbs]
    never_offered = AGENTS_OWN if policy.namespaces is None else AGENTS_OWN | {"all-namespaces"}
    known = [flag for each in (GLOBAL, *(verb.flags for verb in verbs)) for flag in each.values()]
    flags = [flag for flag in known if flag.name not in never_offered]
    unread = [kind for kind in OWN_TYPES if not _reads(policy, kind)]
    named = [name for name in CREDENTIALS.split() if len(name) > 4]  # shorter ones mean nothing to a reader
    return Capabilities(
        # "rollout status" says what runs; "rollout" alone is there for readers that compare a command's first word.
        verbs=_once(*(verb.name for verb in verbs), *(verb.name.split()[0] for verb in verbs)),
        restricted_types=_once("secrets", *policy.denied_types, *unread, "tokens", "passwords", "credentials", *named),
        flags=_once(*(f"--{flag.name}" for flag in flags), *(f"-{flag.short}" for flag in flags if flag.short)),
    )


def _once(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _reads(policy: Policy, kind: str) -> bool:
    if policy.types is not None and kind not in policy.types:
        return False
    return policy.namespaces is None or is_namespaced(kind) or kind in policy.cluster_types
