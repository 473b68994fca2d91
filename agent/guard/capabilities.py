"""What a policy allows, in the words that the API shows to people and models before they ask."""

from collections.abc import Sequence

from agent.guard.policy import DEFAULT_POLICY, Policy
from agent.guard.resources import OWN_TYPES, credential_types, is_namespaced
from agent.guard.tables import AGENTS_OWN, GLOBAL, WHOLE_VERBS
from agent.model import Capabilities


def capabilities(policy: Policy = DEFAULT_POLICY) -> Capabilities:
    """The verbs, the types that aren't read, and the flags. The most important first: the API takes only so many."""
    verbs = [verb for verb in WHOLE_VERBS if policy.verbs is None or verb.name in policy.verbs]
    # "rollout status" says what runs; "rollout" alone is there for readers that compare a command's first word.
    names = [*(verb.name for verb in verbs), *(verb.name.split()[0] for verb in verbs)]
    unread = [kind for kind in OWN_TYPES if not _reads(policy, kind)]
    never_offered = AGENTS_OWN if policy.namespaces is None else AGENTS_OWN | {"all-namespaces"}
    flags = [
        flag for flag in (*GLOBAL, *(flag for verb in verbs for flag in verb.flags)) if flag.name not in never_offered
    ]
    return Capabilities(
        verbs=_once(names),
        restricted_types=_once(["secrets", *sorted(policy.denied_types), *unread, *credential_types()]),
        flags=_once([*(f"--{flag.name}" for flag in flags), *(f"-{flag.short}" for flag in flags if flag.short)]),
    )


def _reads(policy: Policy, kind: str) -> bool:
    if policy.types is not None and kind not in policy.types:
        return False
    return policy.namespaces is None or is_namespaced(kind) or kind in policy.cluster_types


def _once(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
