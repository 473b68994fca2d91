"""Arguments in, the line that runs or a refusal out."""

import re
from collections.abc import Sequence

from agent.guard.grammar import parse
from agent.guard.operands import Flags, check_pair
from agent.guard.policy import DEFAULT_POLICY, Policy
from agent.guard.refused import Refused, shown
from agent.guard.resources import is_table_only
from agent.guard.tables import Verb
from agent.model import MAX_ARGUMENT_BYTES, MAX_ARGUMENTS

_SHELL = re.compile(r"[|&;<].*|\d?>.*|.*\$\(.*", re.DOTALL)


def decide(args: object, policy: Policy = DEFAULT_POLICY) -> tuple[str, ...]:
    """What to run for these arguments, both without kubectl itself: the only command line that runs.

    It is written anew from what was parsed and checked, so that no second parser can understand it differently. Raises
    Refused if these arguments don't run, and nothing else, whatever `args` is.
    """
    verb, asked, operands = parse(_checked(args))
    policy.check_verb(verb)
    if asked.get("help") == ["true"]:
        return _line(verb, {"help": ["true"]}, ())
    if "template" in asked:  # the text of -o go-template, with or without it; of no other format
        [template], [form] = asked.pop("template"), asked.get("output", ["template"])
        goes = form in ("go-template", "template")
        asked["output"] = [f"go-template={template}" if goes else f"--template with -o {form}"]
    types = [*verb.reads, *verb.operands.check(operands, asked), *map(check_pair, asked.get("for", ()))]
    for name, value in ((name, value) for name, values in asked.items() for value in values):
        if wrong := verb.flags[name].rule.complaint(value):
            given = shown(f"--{name}={value}" if value != "true" else f"--{name}")
            rule = name if name in ("output", "raw", "namespace") else "value"
            raise Refused(rule, f"{given} is not allowed: {wrong}")
    is_table = verb.name == "events" or (verb.name == "get" and asked.get("output", ["wide"])[0] in ("wide", "name"))
    for kind in types:
        if is_table_only(kind) and not is_table:
            why = "can hold credentials, so it is shown only as a table"
            raise Refused("type", f"{shown(kind)} {why}: get {shown(kind)} -o wide")
    return _line(verb, {**verb.unless_asked, **policy.narrow(verb, types, asked), **verb.always}, operands)


def _checked(args: object) -> Sequence[str]:
    """The arguments, if they are strings that any child process can be given, and that are meant for kubectl.

    A NUL, a lone surrogate or an argument of 200 KB would make starting the child fail with ValueError,
    UnicodeEncodeError or OSError; control characters could move the cursor of whoever reads the log.
    """
    if not isinstance(args, list | tuple) or not all(isinstance(argument, str) for argument in args):
        raise Refused("shape", "the arguments must be a list of strings, without kubectl itself")
    if not args:
        raise Refused("shape", 'there are no arguments; a verb is needed, as in ["get", "pods"]')
    if len(args) > MAX_ARGUMENTS:
        raise Refused("shape", f"{len(args)} arguments are too many; {MAX_ARGUMENTS} are allowed")
    if sum(len(each.encode(errors="surrogatepass")) for each in args) > MAX_ARGUMENT_BYTES:
        raise Refused("shape", f"the arguments are too long; {MAX_ARGUMENT_BYTES} bytes in all are allowed")
    for argument in args:
        if not argument.isprintable():
            why = "has characters that can't be printed, such as line breaks; in jsonpath and templates write \\n"
        elif "--kuberc" in argument:  # kubectl looks for this inside every argument, before it parses any
            why = "contains --kuberc, which makes kubectl load a local file; drop it"
        elif re.fullmatch(r"<[A-Za-z][\w .-]*>", argument):
            why = "stands for a name; get TYPE lists the real ones"
        elif _SHELL.fullmatch(argument):
            why = "is for a shell, and there is none here; send each command by itself, and for fewer lines use "
            why += "-l, --field-selector, --tail or -o jsonpath=…"
        else:
            continue
        raise Refused("shape", f'"{shown(argument)}" {why}')
    return args


def _line(verb: Verb, flags: Flags, operands: Sequence[str]) -> tuple[str, ...]:
    """VERB [SUB] --v=0 --flag=value … -- operands.

    `--v=0` comes first because kubectl looks for "-v=" inside all arguments before it parses any (`-l app-v=9` would
    set the log level), and the first find wins.
    """
    written = (f"--{name}={value}" for name in sorted(flags) if name != "v" for value in flags[name])
    return (*verb.name.split(), "--v=0", *written, *(("--", *operands) if operands else ()))
