"""Arguments read exactly as kubectl reads them: cobra finds the verb, pflag reads flags and operands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from agent.guard.refused import Refused, shown
from agent.guard.tables import BEFORE_VERB, GLOBAL, NEVER, NEVER_SHORT, SUBCOMMAND_ALIASES, VERBS, Flag, Verb
from agent.guard.values import Kind


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

    @classmethod
    def of(cls, verb: str, flags: Sequence[Flag]) -> "Names":
        """The names of a verb's own flags and the global ones."""
        every = (*flags, *GLOBAL)
        return cls(verb, {flag.name: flag for flag in every}, {flag.short: flag for flag in every if flag.short})


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
    """The flags of a verb; those of the global ones that may stand before any, for ""."""
    if verb:
        return Names.of(verb, verbs()[verb].flags)
    before = {flag.name: flag for each in VERBS for flag in (*each.flags, *GLOBAL) if flag.name in BEFORE_VERB}
    return Names("", before, {flag.short: flag for flag in before.values() if flag.short})


def parse(args: Sequence[str]) -> Parsed:
    """Read a command line whose shape has been checked.

    Raises:
        Refused: an unknown verb or flag, a flag that never runs, or a value that isn't of the flag's kind.
    """
    at = _find_verb(args)
    name, taken = _verb_name(args, at)
    flags, operands = _read_flags([*args[:at], *args[at + taken :]], names(name))
    return Parsed(verbs()[name], flags, operands)


def _find_verb(args: Sequence[str]) -> int:
    """Where the verb is. Before it only flags of `BEFORE_VERB` may stand, with their values."""
    before = names("")
    at = 0
    while at < len(args) and args[at].startswith("-") and args[at] != "-":
        argument = args[at]
        if argument.startswith("--"):
            name, equals, _ = argument[2:].partition("=")
            known, own_value = name.replace("_", "-") in before.long, bool(equals)
        else:
            known, own_value = argument[1] in before.short, len(argument) > 2
        if not known:
            raise _misplaced(argument)
        at += 1 if own_value else 2
    if at >= len(args):
        raise Refused("verb", shown(args[-1]), f"a verb is missing; use one of {_verb_list()}")
    return at


def _misplaced(argument: str) -> Refused:
    name = argument[2:].partition("=")[0].replace("_", "-")
    if not argument.startswith("--"):
        name = NEVER_SHORT.get(argument[1], "")
    if name in NEVER:  # it would be refused after the verb, too
        return Refused("flag", shown(argument), f"{shown(argument)} is not allowed: {NEVER[name]}")
    sentence = f'a verb must come first; put "{shown(argument)}" after it (only -n, -o and -l may precede)'
    return Refused("verb", shown(argument), sentence)


def _verb_name(args: Sequence[str], at: int) -> tuple[str, int]:
    """The verb's full name, and how many words it takes."""
    verb = args[at]
    if verb not in verbs():
        raise Refused("verb", shown(verb), f'"{shown(verb)}" is not allowed: {_hint(verb)}; use one of {_verb_list()}')
    if verb not in groups() or at + 1 == len(args) or args[at + 1].startswith("-"):
        return verb, 1
    name = f"{verb} {args[at + 1]}"
    name = SUBCOMMAND_ALIASES.get(name, name)
    if name not in verbs():
        raise Refused("subcommand", shown(args[at + 1]), f'"{shown(name)}" is not allowed; use {_choice(verb)}')
    return name, 2


def _hint(verb: str) -> str:
    if verb == "kubectl":
        return "the arguments begin after kubectl"
    if verb in ("help", "options"):
        return "-h after a verb shows its help"
    if verb.strip().lower() in verbs():
        return "a verb is written in small letters, without blanks"
    if " " in verb:
        return "every word is an argument of its own"
    return "the agent only reads"


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
        if flag.kind is Kind.BOOL:
            value = "true"
        else:
            value, at = _next(args, at, f"--{flag.name}"), at + 1
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
            raise _unknown(argument, f"-{shown(letter)}{within}", NEVER_SHORT.get(letter, letter), known)
        if len(rest) > 1 and rest[0] == "=":
            value, rest = rest[1:], ""
        elif flag.kind is Kind.BOOL:
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
    canonical = flag.kind.read(value)
    if canonical is None:
        raise Refused("value", shown(argument), f'--{flag.name} takes {flag.kind.value}, not "{shown(value)}"')
    earlier = flags.get(flag.name, []) if flag.kind is Kind.LIST else []
    flags[flag.name] = [*earlier, canonical]


def _unknown(argument: str, given: str, name: str, known: Names) -> Refused:
    if name in NEVER:
        return Refused("flag", shown(argument), f"{given} is not allowed: {NEVER[name]}")
    if known.verb in groups():
        sentence = f"{given} is not allowed here: flags come after the subcommand, and that is {_choice(known.verb)}"
        return Refused("subcommand", shown(argument), sentence)
    takes = " ".join(f"--{each}" for each in known.long if each != "v")
    return Refused(
        "flag",
        shown(argument),
        f"{given} is not a flag that kubectl {known.verb} may have here; it takes {takes}",
    )
