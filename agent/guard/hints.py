"""What a refusal says instead: the reader is often a model, which will do what the sentence says."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

DEBUG = "debug output shows requests and whole answers; drop it"
NO_WATCH = "the agent answers once and never watches; drop -w"
NO_FOLLOW = "the agent answers once and never follows; drop -f, and use --tail or --since"
_NEVER = {
    "filename kustomize": "it opens local files and addresses; name the resource by TYPE and NAME",
    "recursive": "it belongs to -f, which opens local files; drop it",
    "template": "this output has no template; get takes -o go-template=…",
    "watch watch-only output-watch-events": NO_WATCH,
    "follow": NO_FOLLOW,
    "timeout": "the agent sets its own time limits; drop it",
    "server proxy-url cluster context kubeconfig": "the agent speaks only to its own cluster; drop it",
    "kuberc": "it loads a local file; drop it",
    "tls-server-name certificate-authority insecure-skip-tls-verify": "it knows its cluster's certificate; drop it",
    "insecure-skip-tls-verify-backend": "logs come only from kubelets with a valid certificate; drop it",
    "client-certificate client-key token user username password": "the agent signs in only as itself; drop it",
    "as as-group as-uid as-user-extra": "the agent can't answer for others; "
    "get rolebindings,clusterrolebindings -A -o wide shows what they were given",
    "cache-dir": "it writes to a local folder; drop it",
    "profile profile-output": "it writes a local file; drop it",
    "v vmodule log-flush-frequency": DEBUG,
    "match-server-version disable-compression warnings-as-errors": "it isn't needed to read anything; drop it",
}
NEVER: Mapping[str, str] = {name: why for names, why in _NEVER.items() for name in names.split()}
"""Flags of kubectl that no verb here takes, or not every one."""

NEVER_SHORT: Mapping[str, str] = {"f": "filename", "k": "kustomize", "R": "recursive", "s": "server", "v": "v"}

_ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("get", "for"): "events --for=TYPE/NAME takes it",
    ("get", "all"): "get TYPE shows all of a namespace, -A of every one",
    ("get", "name"): "write the name after the type, as in get pods web-0",
    ("get", "limit"): "-l and --field-selector choose fewer",
    ("describe", "output"): "get TYPE NAME -o yaml shows the whole object",
    ("logs", "all-namespaces"): "logs reads one namespace, named with -n",
    ("logs", "output"): "logs are printed as they are",
    **dict.fromkeys((("top pod", "output"), ("top node", "output")), "top prints a table only"),
}
"""By verb and flag, where its name alone doesn't tell what was meant."""

_BY_VERB = {
    "wait": "the agent answers at once; rollout status TYPE/NAME or get TYPE NAME -o jsonpath={.status.conditions} "
    "says how it stands now",
    "config ctx": "the agent has one cluster and no contexts; cluster-info says which server it is",
    "exec attach cp debug port-forward": "nothing runs in pods or is copied from them; logs, describe pod and events "
    "show what can be seen",
    "proxy": "the agent opens no ports; get reads what the API has",
    "diff kustomize": "the agent opens no files; get TYPE NAME -o yaml shows what there is",
    "help options": "-h after a verb shows its help, as in get -h",
    "kubectl": "once is enough",
    "oc": "this is kubectl, and the arguments begin with its verb",
    "adm": "this is kubectl, not oc; top pod and top node show what is used",
    "project": "this is kubectl, not oc; -n names the namespace",
    "projects ns": "this is kubectl without plug-ins; use get namespaces",
}
_VERBS: Mapping[str, str] = {verb: hint for verbs, hint in _BY_VERB.items() for verb in verbs.split()}

_BY_ITSELF = "send each command by itself"
_SHELL_HINTS: Mapping[str, str] = {
    r"\|.*": "nothing can be piped; to see less use -l, --field-selector, --tail or -o jsonpath=…",
    r"[&;].*": _BY_ITSELF,
    r"\d?>.*": "drop it, what kubectl prints comes back as the result",
    r"<.*": "nothing can be read from a file or another command; write it out",
    r".*\$\(.*": "send the inner command first, and write its result here",
    r".*;": _BY_ITSELF,
}


def shell_hint(args: Sequence[str]) -> tuple[str, str] | None:
    """The first word that only a shell (or only a person) understands, and what to do instead."""
    for arg in args:
        if re.fullmatch(r"<[A-Za-z][\w .-]*>", arg):
            return arg, "it stands for a name; get TYPE lists the real ones"
        for form, hint in _SHELL_HINTS.items():
            if re.fullmatch(form, arg, re.DOTALL):
                return arg, f"there is no shell here: {hint}"
    return None


def verb_hint(verb: str, known: Sequence[str]) -> str:
    """What to do instead of a verb that doesn't run."""
    if verb in _VERBS:
        return _VERBS[verb]
    if verb.strip().lower() in known:
        return "a verb is written in small letters, without blanks"
    if " " in verb:
        return "every word is an argument of its own"
    near = get_close_matches(verb, known, 1, 0.75)
    return f"did you mean {near[0]}?" if near else f"the agent only reads; use {', '.join(known)}"


def flag_hint(verb: str, flag: str, known: Sequence[str], owners: Sequence[str]) -> str:
    """What to do instead of a flag that this verb doesn't take: by name, by whoever takes it, or by a near miss."""
    if (verb, flag) in _ELSEWHERE:
        return _ELSEWHERE[verb, flag]
    if verb == "events" and "get" in owners:
        return "get events takes it"
    if owners:
        return f"{', '.join(owners[:3])} {'takes' if len(owners) == 1 else 'take'} it"
    near = get_close_matches(flag, known, 1, 0.6)
    return f"did you mean --{near[0]}?" if near else "drop it"
