"""A refusal, and what to do instead: its reader is often a model, which will do just that."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

_SHOWN_CHARS = 80  # enough to recognise an argument, short enough for a log line


class Refused(Exception):  # noqa: N818  # an answer, not a failure
    """These arguments don't run. It travels back to the sender as an ordinary result.

    `rule` is a short word that stays the same from release to release, for metrics: shape, verb, subcommand, flag,
    value, output, raw, operand, name, type, namespace, or policy (the policy file took it away).
    `sentence` says what, why, and what to do instead. It is safe to print.
    """

    def __init__(self, rule: str, sentence: str) -> None:
        self.rule = rule
        self.sentence = sentence
        super().__init__(sentence)


def shown(argument: str) -> str:
    """An argument as a sentence may show it: what can't be printed is written as an escape, what is long is cut."""
    head = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in argument[:_SHOWN_CHARS])
    return head[:_SHOWN_CHARS] + ("…" if len(argument) > _SHOWN_CHARS else "")


def _each(reasons: Mapping[str, str]) -> Mapping[str, str]:
    return {name: why for names, why in reasons.items() for name in names.split()}


NEVER = _each({
    "filename kustomize": "it opens local files and addresses; name the resource by TYPE and NAME",
    "recursive": "it belongs to -f, which opens local files; drop it",
    "template": "this output has no template; get takes -o go-template=…",
    "watch watch-only output-watch-events": "the agent answers once and never watches; drop -w",
    "follow": "the agent answers once and never follows; drop -f, and use --tail or --since",
    "timeout": "the agent sets its own time limits; drop it",
    "server proxy-url cluster context kubeconfig": "the agent speaks only to its own cluster; drop it",
    "kuberc": "it loads a local file; drop it",
    "tls-server-name certificate-authority insecure-skip-tls-verify": "it knows its cluster's certificate; drop it",
    "insecure-skip-tls-verify-backend": "logs come only from kubelets with a valid certificate; drop it",
    "client-certificate client-key token user username password": "the agent signs in only as itself; drop it",
    "as as-group as-uid as-user-extra": "the agent can't answer for others; "
    "get rolebindings,clusterrolebindings -A -o wide shows what they were given",
    "cache-dir profile profile-output": "it writes local files; drop it",
    "v vmodule log-flush-frequency": "debug output shows requests and whole answers; drop it",
    "match-server-version disable-compression warnings-as-errors": "it isn't needed to read anything; drop it",
})  # fmt: skip
"""Flags of kubectl that no verb may have here, or not every verb, and why."""

NEVER_SHORT = {"f": "filename", "k": "kustomize", "R": "recursive", "s": "server", "v": "v"}

_VERBS = _each({
    "wait": "the agent answers at once; rollout status TYPE/NAME or get TYPE NAME -o jsonpath={.status.conditions} "
    "says how it stands now",
    "config ctx": "the agent has one cluster and no contexts; cluster-info says which server it is",
    "exec attach cp debug port-forward proxy": "nothing runs in pods, is copied from them or opens ports; logs, "
    "describe pod and events show what can be seen",
    "diff kustomize": "the agent opens no files; get TYPE NAME -o yaml shows what there is",
    "help options": "-h after a verb shows its help, as in get -h",
    "kubectl": "once is enough",
    "oc adm project projects ns": "this is kubectl without plug-ins, and not oc; -n names the namespace, "
    "get namespaces shows them all",
})  # fmt: skip


def verb_hint(verb: str, known: Sequence[str]) -> str:
    """What to do instead of a verb that isn't allowed."""
    if verb in _VERBS:
        return _VERBS[verb]
    if " " in verb.strip():
        return "every word is an argument of its own"
    near = get_close_matches(verb.strip().lower(), known, 1, 0.75)
    return f"did you mean {near[0]}?" if near else f"the agent only reads; use {', '.join(known)}"
