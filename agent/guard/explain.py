"""The effective policy, written out for people."""

from collections.abc import Iterable, Iterator, Sequence

from agent.guard.policy import Policy
from agent.guard.resources import CREDENTIALS, TABLE_ONLY, is_own
from agent.guard.tables import GLOBAL, VERBS, Flag
from agent.guard.values import FlagType
from agent.redact import Redaction


def explain(policy: Policy) -> str:
    """Every verb and flag that may run, what each value may be, and what is never read."""
    return "".join(f"{line}\n" for line in _lines(policy))


def _lines(policy: Policy) -> Iterator[str]:
    for verb in VERBS:
        if policy.verbs is None or verb.name in policy.verbs:
            yield f"kubectl {verb.name} {verb.operands.says}".rstrip()
            yield from _flags(verb.flags)
            for when, given in (("always", verb.always), ("unless asked otherwise", verb.unless_asked)):
                if given:
                    yield f"    {when} with " + " ".join(f"--{name}={value}" for name, value in given)
            yield ""
    yield "with every verb"
    yield from _flags([flag for flag in GLOBAL if flag.name != "v"])
    yield ""
    yield "never read, whatever the spelling"
    yield "    types whose name ends in secret, token, password, credential, kubeconfig or keypair (or begins with"
    yield "    kongcredential), unless they only point to one, as externalsecrets and sealedsecrets do"
    for holds, names in CREDENTIALS.items():
        yield f"    {holds}: {' '.join(names.split())}"
    yield f"    and only as a table: {' '.join(TABLE_ONLY.split())}"
    yield ""
    narrowed = list(_narrowed(policy))
    yield "narrowed by the policy file" if narrowed else "not narrowed by a policy file"
    yield from narrowed
    yield ""
    yield from _redaction(policy.redaction)
    yield ""
    yield "Whatever else kubectl has is refused: what writes, what opens files or other servers, what doesn't end."


def _flags(flags: Sequence[Flag]) -> Iterator[str]:
    for flag in flags:
        name = f"-{flag.short} --{flag.name}" if flag.short else f"   --{flag.name}"
        says = flag.rule.says or ("" if flag.type is FlagType.BOOL else flag.type.value)
        yield f"    {name:<32} {says}".rstrip()


def _narrowed(policy: Policy) -> Iterator[str]:
    rows: dict[str, Iterable[str] | None] = {
        "only these types are read": policy.types,
        "these types aren't read": policy.denied_types,
        "only these namespaces are read": policy.namespaces,
        "these types are read though they don't live in a namespace": policy.cluster_types,
        "these custom types live in namespaces": policy.namespaced_types,
    }
    for says, names in rows.items():
        if names:
            yield f"    {says}: {' '.join(sorted(names))}"
    if any(not is_own(kind) for kind in policy.denied_types):
        yield "    custom types are read only by plural and group, as in gateways.gateway.networking.k8s.io"
    if policy.verbs is not None:
        yield f"    only these verbs run: {', '.join(sorted(policy.verbs))}"
    if policy.max_output_bytes is not None:
        yield f"    output is cut after {policy.max_output_bytes} bytes"
    if policy.max_timeout_seconds is not None:
        yield f"    a command is ended after {policy.max_timeout_seconds:g} s"


def _redaction(redaction: Redaction) -> Iterator[str]:
    if not redaction.on:
        yield "redaction is off: credentials that kubectl prints are kept and sent. Only this a policy file can widen."
        return
    yield "taken out of what kubectl prints, before it is kept or sent"
    for rule in redaction.rules:
        yield f"    {rule.kind:<16} {rule.takes}"
    if redaction.off:
        yield f"    switched off by the policy file: {', '.join(redaction.off)}"
