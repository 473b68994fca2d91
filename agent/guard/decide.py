"""Arguments in, a plan or a refusal out."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.guard.grammar import names, parse
from agent.guard.hints import shell_hint
from agent.guard.operands import Flags, check_pair
from agent.guard.policy import DEFAULT_POLICY, Policy
from agent.guard.refused import Refused, shown
from agent.guard.resources import is_table_only
from agent.guard.shape import check_shape
from agent.guard.tables import Verb


@dataclass(frozen=True, slots=True)
class GuardPlan:
    """The only command line that runs."""

    verb: str  # with its subcommand: "get", "rollout status"
    argv: tuple[str, ...]  # what follows kubectl's own path


def decide(args: object, policy: Policy = DEFAULT_POLICY) -> GuardPlan:
    """What to run for these arguments (without kubectl itself).

    The plan is written anew from what was parsed and checked, so that no second parser can understand it differently.

    Raises:
        Refused: these arguments don't run. Nothing else is ever raised, whatever `args` is.
    """
    words = check_shape(args)
    foreign = shell_hint(words)
    try:
        plan = _decide(words, policy)
        if not foreign or "$(" not in foreign[0]:  # which kubectl would take for text
            return plan
    except Refused:
        if not foreign:  # else that is what is wrong: "| tail -5" is not about a flag -5
            raise
    raise Refused.word("shape", foreign[0], f"is not allowed: {foreign[1]}")


def _decide(args: Sequence[str], policy: Policy) -> GuardPlan:
    parsed = parse(args)
    verb = parsed.verb
    policy.check_verb(verb)
    if parsed.flags.get("help") == ["true"]:
        return GuardPlan(verb.name, _line(verb, {"help": ["true"]}, ()))
    asked = _with_template(parsed.flags)
    if verb.name == "rollout status" and "timeout" in asked:
        asked.pop("watch", None)  # with a time limit it does end; what is written is --watch=false
    involved = [check_pair(value) for value in asked.get("for", ())]  # the type of `events --for`
    types = [*verb.reads, *verb.operands.check(parsed.operands, asked), *involved]
    _check_values(verb, asked)
    for kind in types:
        _check_shown(verb, kind, asked)
    flags = {name: [value] for name, value in verb.unless_asked} | dict(policy.narrow(verb, types, asked))
    flags |= {name: [value] for name, value in verb.always}
    return GuardPlan(verb.name, _line(verb, flags, parsed.operands))


def _with_template(flags: Flags) -> dict[str, Sequence[str]]:
    """`--template=…`, alone or with `-o go-template` or `-o template`, is the same as `-o go-template=…`."""
    rest = {name: values for name, values in flags.items() if name != "template"}
    if "template" in flags:
        [output] = rest.get("output", ["go-template"])
        if output not in ("go-template", "template"):
            given = shown(f"-o {output}")
            why = f"--template doesn't go with {given}; write -o go-template=… and no --template"
            raise Refused("output", given, why)
        rest["output"] = [f"go-template={flags['template'][0]}"]
    return rest


def _check_values(verb: Verb, flags: Flags) -> None:
    known = names(verb.name).long
    for name, value in ((name, value) for name, values in flags.items() for value in values):
        if wrong := known[name].rule.complaint(value):
            given = shown(f"--{name}={value}" if value != "true" else f"--{name}")
            rule = name if name in ("output", "raw", "namespace") else "value"
            raise Refused(rule, given, f"{given} is not allowed: {wrong}")


def _check_shown(verb: Verb, kind: str, flags: Flags) -> None:
    is_table = verb.name == "get" and flags.get("output", ["wide"])[0] in ("wide", "name")
    if is_table_only(kind) and not is_table and verb.name != "events":
        sentence = f"{shown(kind)} can hold credentials, so it is shown only as a table: get {shown(kind)} -o wide"
        raise Refused("type", kind, sentence)


def _line(verb: Verb, flags: Flags, operands: Sequence[str]) -> tuple[str, ...]:
    """VERB [SUB] --v=0 --flag=value … -- operands.

    `--v=0` comes first because kubectl looks for "-v=" inside all arguments before it parses any (`-l app-v=9` would
    set the log level), and the first find wins.
    """
    written = (f"--{name}={value}" for name in sorted(flags) if name != "v" for value in flags[name])
    return (*verb.name.split(), "--v=0", *written, *(("--", *operands) if operands else ()))
