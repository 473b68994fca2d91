"""Arguments read exactly as kubectl reads them: cobra finds the verb, pflag reads flags and operands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from agent.guard.hints import NEVER, NEVER_SHORT, flag_hint, verb_hint
from agent.guard.refused import Refused, shown
from agent.guard.tables import AGENTS_OWN, GLOBAL, SUBCOMMAND_ALIASES, VERBS, WHOLE_VERBS, Flag, Verb
from agent.guard.values import FlagType


@dataclass(frozen=True, slots=True)
class Parsed:
    """A command line, read."""

    verb: Verb
    flags: Mapping[str, Sequence[str]]
    """By long name. One value each, the last one given; all of them for lists."""
    operands: Sequence[str]


@dataclass(frozen=True, slots=True)
class Names:
    """The flags of one verb (the global ones too), by their long and their short names."""

    verb: str
    long: Mapping[str, Flag]
    short: Mapping[str, Flag]


@cache
def verbs() -> Mapping[str, Verb]:
    """Every verb by its full name."""
    return {verb.name: verb for verb in VERBS}


@cache
def groups() -> Mapping[str, Sequence[str]]:
    """Verbs that need a subcommand, with those that may follow."""
    found: dict[str, list[str]] = {}
    for verb in VERBS:
        first, _, second = verb.name.partition(" ")
        if second:
            found.setdefault(first, []).append(second)
    return found


@cache
def names(verb: str) -> Names:
    """The flags of a verb; of all verbs together, for ""."""
    every = [*(flag for each in VERBS if verb in ("", each.name) for flag in each.flags), *GLOBAL]
    return Names(verb, {flag.name: flag for flag in every}, {flag.short: flag for flag in every if flag.short})


def parse(args: Sequence[str]) -> Parsed:
    """Read a command line whose shape has been checked.

    Raises:
        Refused: an unknown verb or flag, a flag that never runs, or a value that isn't of the flag's type.
    """
    words = args[1:] if args[0] == "kubectl" else args
    at = _find_verb(words)
    name, taken = _verb_name(words, at)
    flags, operands = _read_flags([*words[:at], *words[at + taken :]], names(name))
    return Parsed(verbs()[name], flags, operands)


def _find_verb(args: Sequence[str]) -> int:
    """Where the verb is. kubectl takes the word after a flag that it doesn't know yet for its value.

    So `-A get pods` would look for the verb "pods", and only flags that do take a value may stand before the verb, or
    have one of their own (`-A=true`, `-ojson`).
    """
    at = 0
    while at < len(args) and args[at].startswith("-") and args[at] != "-":
        argument = args[at]
        is_whole = "=" in argument if argument.startswith("--") else len(argument) > 2
        flag = _known_anywhere(argument)
        if not is_whole and (flag is None or flag.type is FlagType.BOOL):
            raise _misplaced(argument)
        at += 1 if is_whole else 2
    if at >= len(args):
        raise Refused("verb", args[-1] if args else "", f"a verb is missing; use one of {_verb_list()}")
    return at


def _known_anywhere(argument: str) -> Flag | None:
    every = names("")
    return every.long.get(argument[2:].replace("_", "-")) if argument[1] == "-" else every.short.get(argument[1])


def _misplaced(argument: str) -> Refused:
    name = argument[2:].replace("_", "-") if argument[1] == "-" else NEVER_SHORT.get(argument[1], "")
    if name in NEVER:  # it would be refused after the verb, too
        return Refused("flag", argument, f"{shown(argument)} is not allowed: {NEVER[name]}")
    return Refused("verb", argument, f'a verb must come first; put "{shown(argument)}" after it')


def _verb_name(args: Sequence[str], at: int) -> tuple[str, int]:
    """The verb's full name, and how many words it takes."""
    verb = args[at]
    if verb not in verbs():
        known = [name for name in verbs() if name not in groups()]
        raise Refused.word("verb", verb, f"is not allowed: {verb_hint(verb, known)}")
    if verb not in groups() or at + 1 == len(args) or args[at + 1].startswith("-"):
        return verb, 1
    name = f"{verb} {args[at + 1]}"
    name = SUBCOMMAND_ALIASES.get(name, name)
    if name not in verbs():
        raise Refused("subcommand", args[at + 1], f'"{shown(name)}" is not allowed; use {_choice(verb)}')
    return name, 2


def _choice(verb: str) -> str:
    return " or ".join(f"{verb} {sub}" for sub in groups()[verb])


def _verb_list() -> str:
    return ", ".join(name for name in verbs() if name not in groups())


def _read_flags(args: Sequence[str], known: Names) -> tuple[dict[str, list[str]], list[str]]:
    """Flags and operands, as FlagSet.parseArgs of pflag tells them apart."""
    flags: dict[str, list[str]] = {}
    operands: list[str] = []
    at = 0
    while at < len(args):
        argument = args[at]
        at += 1
        if not argument.startswith("-") or argument == "-":
            operands.append(argument)
        elif argument == "--":
            operands.extend(args[at:])
            break
        elif argument.startswith("--"):
            at = _read_long(args, at, known, flags)
        else:
            at = _read_short(args, at, known, flags)
    return flags, operands


def _read_long(args: Sequence[str], at: int, known: Names, flags: dict[str, list[str]]) -> int:
    """`--name=value`, `--name value` or `--switch`. Returns where the next argument begins."""
    argument = args[at - 1]
    name, equals, value = argument[2:].partition("=")
    flag = known.long.get(name.replace("_", "-"))
    if flag is None:
        raise _unknown(argument, f"--{shown(name)}", name.replace("_", "-"), known)
    if not equals:
        value, at = ("true", at) if flag.type is FlagType.BOOL else (_next(args, at, f"--{flag.name}"), at + 1)
    _keep(flags, flag, value, argument)
    return at


def _read_short(args: Sequence[str], at: int, known: Names, flags: dict[str, list[str]]) -> int:
    """A cluster of letters, from left to right. Returns where the next argument begins."""
    argument = args[at - 1]
    rest = argument[1:]
    while rest:
        letter, rest = rest[0], rest[1:]
        flag = known.short.get(letter)
        if flag is None:
            within = "" if argument[1] == letter else f" in {shown(argument)}"
            elsewhere = names("").short.get(letter)
            name = NEVER_SHORT.get(letter) or (elsewhere.name if elsewhere else letter)
            raise _unknown(argument, f"-{shown(letter)}{within}", name, known)
        if len(rest) > 1 and rest[0] == "=":
            value, rest = rest[1:], ""
        elif flag.type is FlagType.BOOL:
            value = "true"
        elif rest:
            value, rest = rest, ""
        else:
            value, at = _next(args, at, f"-{letter}"), at + 1
        _keep(flags, flag, value, argument)
    return at


def _next(args: Sequence[str], at: int, flag: str) -> str:
    if at == len(args):
        raise Refused("flag", flag, f"{flag} needs a value after it")
    return args[at]


def _keep(flags: dict[str, list[str]], flag: Flag, value: str, argument: str) -> None:
    canonical = flag.type.read(value)
    if canonical is None:
        raise Refused("value", argument, f'--{flag.name} takes {flag.type.value}, not "{shown(value)}"')
    earlier = flags.get(flag.name, []) if flag.type is FlagType.LIST else []
    flags[flag.name] = [*earlier, canonical]


def _unknown(argument: str, given: str, name: str, known: Names) -> Refused:
    if name in NEVER:
        return Refused("flag", argument, f"{given} is not allowed: {NEVER[name]}")
    if known.verb in groups():
        sentence = f"{given} is not allowed here: flags come after the subcommand, and that is {_choice(known.verb)}"
        return Refused("subcommand", argument, sentence)
    offered = [flag for flag in known.long if flag not in AGENTS_OWN]
    owners = [verb.name for verb in WHOLE_VERBS if name in names(verb.name).long]
    hint = flag_hint(known.verb, name, offered, owners)
    return Refused("flag", argument, f"{given} is not a flag of kubectl {known.verb}: {hint}")
