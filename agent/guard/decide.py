"""Arguments in, a plan or a refusal out."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.guard.grammar import Parsed, names, parse
from agent.guard.operands import check_pair
from agent.guard.policy import DEFAULT_POLICY, Flags, Policy
from agent.guard.refused import Refused, shown
from agent.guard.shape import check_shape
from agent.guard.tables import Verb


@dataclass(frozen=True, slots=True)
class Plan:
    """The only command line that runs."""

    verb: str
    """With its subcommand: "get", "rollout status"."""
    argv: tuple[str, ...]
    """What follows kubectl's own path."""


def decide(args: object, policy: Policy = DEFAULT_POLICY) -> Plan:
    """What to run for these arguments (without kubectl itself).

    The plan is written anew from what was parsed and checked, so that no second parser can understand it differently.

    Raises:
        Refused: these arguments don't run. Nothing else is ever raised, whatever `args` is.
    """
    parsed = parse(check_shape(args))
    verb = parsed.verb
    policy.check_verb(verb)
    if parsed.flags.get("help") == ["true"]:
        return Plan(verb.name, _line(verb, {"help": ["true"]}, ()))
    _check_values(parsed)
    types = [*verb.reads, *verb.operands.check(parsed.operands, parsed.flags), *_involved(parsed.flags)]
    flags = dict(policy.narrow(verb, types, parsed.flags))
    flags.update((name, [value]) for name, value in verb.always)
    return Plan(verb.name, _line(verb, flags, parsed.operands))


def _check_values(parsed: Parsed) -> None:
    known = names(parsed.verb.name)
    for name, values in parsed.flags.items():
        for value in values:
            wrong = known.long[name].rule.complaint(value)
            if wrong:
                given = f"--{name}={value}" if value != "true" else f"--{name}"
                raise Refused(_rule(name), shown(given), f"{shown(given)} is not allowed: {wrong}")


def _rule(flag: str) -> str:
    return flag if flag in ("output", "raw", "namespace") else "value"


def _involved(flags: Flags) -> Sequence[str]:
    """The type of `events --for`."""
    return [check_pair(value) for value in flags.get("for", ())]


def _line(verb: Verb, flags: Flags, operands: Sequence[str]) -> tuple[str, ...]:
    """VERB [SUB] --v=0 --flag=value … -- operands.

    `--v=0` comes first because kubectl looks for "-v=" inside all arguments before it parses any (`-l app-v=9` would
    set the log level), and the first find wins.
    """
    written = (f"--{name}={value}" for name in sorted(flags) if name != "v" for value in flags[name])
    return (*verb.name.split(), "--v=0", *written, *(("--", *operands) if operands else ()))
