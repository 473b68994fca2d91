"""Arguments read exactly as kubectl reads them: cobra finds the verb, pflag reads flags and operands."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from agent.guard.hints import NEVER, NEVER_SHORT, flag_hint, verb_hint
from agent.guard.refused import Refused, shown
from agent.guard.tables import AGENTS_OWN, GLOBAL, SUBCOMMAND_ALIASES, VERBS, WHOLE_VERBS, Flag, Verb
from agent.guard.values import FlagType

_NAMES = [verb.name for verb in WHOLE_VERBS]


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
    pairs = [verb.name.split() for verb in VERBS if " " in verb.name]
    return {first: [sub for group, sub in pairs if group == first] for first, _ in pairs}


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
    name, taken = _verb_name(words[at:])
    flags, operands = _read_flags([*words[:at], *words[at + taken :]], names(name))
    return Parsed(verbs()[name], flags, operands)


def _find_verb(args: Sequence[str]) -> int:
    """Where the verb is. kubectl takes the word after a flag that it doesn't know yet for its value.

    So `-A get pods` would look for the verb "pods", and only flags that do take a value may stand before the verb, or
    have one of their own (`-A=true`, `-ojson`).
    """
    every = names("")
    at = 0
    while at < len(args) and args[at].startswith("-") and args[at] != "-":
        argument = args[at]
        is_long, letter = argument.startswith("--"), argument[1]
        name = _long_name(argument) if is_long else NEVER_SHORT.get(letter, "")
        is_whole = "=" in argument if is_long else len(argument) > 2
        flag = every.long.get(name) if is_long else every.short.get(letter)
        if not is_whole and (flag is None or flag.type is FlagType.BOOL):
            if name in NEVER:  # it would be refused after the verb, too
                raise Refused("flag", argument, f"{shown(argument)} is not allowed: {NEVER[name]}")
            raise Refused("verb", argument, f'a verb must come first; put "{shown(argument)}" after it')
        at += 1 if is_whole else 2
    if at >= len(args):
        raise Refused("verb", args[-1] if args else "", f"a verb is missing; use one of {', '.join(_NAMES)}")
    return at


def _verb_name(words: Sequence[str]) -> tuple[str, int]:
    """The full name of the verb that these words begin with, and how many of them it takes."""
    verb, *rest = words
    if verb not in verbs():
        raise Refused.word("verb", verb, f"is not allowed: {verb_hint(verb, _NAMES)}")
    if verb not in groups() or not rest or rest[0].startswith("-"):
        return verb, 1
    name = SUBCOMMAND_ALIASES.get(f"{verb} {rest[0]}", f"{verb} {rest[0]}")
    if name not in verbs():
        raise Refused("subcommand", rest[0], f'"{shown(name)}" is not allowed; use {_choice(verb)}')
    return name, 2


def _choice(verb: str) -> str:
    return " or ".join(f"{verb} {sub}" for sub in groups()[verb])


def _read_flags(args: Sequence[str], known: Names) -> tuple[dict[str, list[str]], list[str]]:
    """Flags and operands, as FlagSet.parseArgs of pflag tells them apart."""
    flags: dict[str, list[str]] = {}
    operands: list[str] = []
    rest = iter(args)
    for argument in rest:
        if not argument.startswith("-") or argument == "-":
            operands.append(argument)
        elif argument == "--":
            operands.extend(rest)
        else:
            read = _read_long if argument.startswith("--") else _read_short
            for flag, value in read(argument, rest, known):
                _keep(flags, flag, value, argument)
    return flags, operands


def _read_long(argument: str, rest: Iterator[str], known: Names) -> Iterator[tuple[Flag, str]]:
    """`--name=value`, `--name value` or `--switch`."""
    flag = known.long.get(_long_name(argument))
    given, equals, value = argument.partition("=")
    if flag is None:
        raise _unknown(argument, f"--{shown(given[2:])}", _long_name(argument), known)
    if not equals:
        value = "true" if flag.type is FlagType.BOOL else _next(rest, f"--{flag.name}")
    yield flag, value


def _long_name(argument: str) -> str:
    return argument[2:].partition("=")[0].replace("_", "-")


def _read_short(argument: str, rest: Iterator[str], known: Names) -> Iterator[tuple[Flag, str]]:
    """A cluster of letters, from left to right."""
    cluster = argument[1:]
    while cluster:
        letter, cluster = cluster[0], cluster[1:]
        flag = known.short.get(letter)
        if flag is None:
            within = "" if argument[1] == letter else f" in {shown(argument)}"
            elsewhere = names("").short.get(letter)
            name = NEVER_SHORT.get(letter) or (elsewhere.name if elsewhere else letter)
            raise _unknown(argument, f"-{shown(letter)}{within}", name, known)
        if len(cluster) > 1 and cluster[0] == "=":
            value, cluster = cluster[1:], ""
        elif flag.type is FlagType.BOOL:
            value = "true"
        else:
            value, cluster = cluster or _next(rest, f"-{letter}"), ""
        yield flag, value


def _next(rest: Iterator[str], flag: str) -> str:
    value = next(rest, None)
    if value is None:
        raise Refused("flag", flag, f"{flag} needs a value after it")
    return value


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
