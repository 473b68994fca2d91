"""Arguments read exactly as kubectl reads them: cobra finds the verb, pflag reads flags and operands."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from agent.guard.refused import NEVER, NEVER_SHORT, Refused, shown, verb_hint
from agent.guard.tables import AGENTS_OWN, SUBCOMMAND_ALIASES, VERBS, Flag, Verb, subcommands
from agent.guard.values import FlagType

_WITH_VALUE = [f for verb in VERBS.values() for f in verb.flags.values() if f.rule.type is not FlagType.BOOL]
_TAKES_NEXT = {f"--{flag.name}" for flag in _WITH_VALUE} | {f"-{flag.short}" for flag in _WITH_VALUE}


def parse(args: Sequence[str]) -> tuple[Verb, dict[str, list[str]], list[str]]:
    """Read a command line whose shape has been checked: verb, flags by long name, operands.

    A flag has one value, the last one given; a list has all of them. Raises Refused for an unknown verb or flag, a flag
    that never runs, or a value that isn't of the flag's type.
    """
    verb, words = _verb(args[1:] if args[0] == "kubectl" else args)
    flags: dict[str, list[str]] = {}
    operands: list[str] = []
    rest = iter(words)
    for argument in rest:
        if not argument.startswith("-") or argument == "-":
            operands.append(argument)
        elif argument == "--":
            operands.extend(rest)
        else:
            read = _read_long if argument.startswith("--") else _read_short
            for flag, value in read(argument, rest, verb):
                canonical = flag.rule.type.read(value)
                if canonical is None:
                    raise Refused("value", f'--{flag.name} takes {flag.rule.type.value}, not "{shown(value)}"')
                earlier = flags.get(flag.name, []) if flag.rule.type is FlagType.LIST else []
                flags[flag.name] = [*earlier, canonical]
    return verb, flags, operands


def _verb(words: Sequence[str]) -> tuple[Verb, Sequence[str]]:
    """The verb, and all other words. kubectl takes the word after a flag that it doesn't know yet for its value.

    So `-A get pods` would look for the verb "pods", and only flags that do take a value may stand before the verb, or
    have one of their own (`-A=true`, `-ojson`).
    """
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        word = words[at]
        is_whole = "=" in word if word.startswith("--") else len(word) > 2
        if not is_whole and word.replace("_", "-") not in _TAKES_NEXT:
            name = NEVER_SHORT.get(word[1], word[2:].replace("_", "-"))
            if why := NEVER.get(name):  # it is refused after the verb, too
                raise Refused("flag", f"{shown(word)} is not allowed: {why}")
            raise Refused("verb", f'a verb must come first; put "{shown(word)}" after it')
        at += 1 if is_whole else 2
    if at >= len(words):
        raise Refused("verb", f"a verb is missing; use one of {', '.join(VERBS)}")
    name, after = words[at], at + 1
    if choice := subcommands(name):
        after += 1
        name = " ".join(words[at:after])
        name = SUBCOMMAND_ALIASES.get(name, name)
        if name not in VERBS:
            why = f'"{shown(name)}" is not allowed; use {" or ".join(choice)}, and flags after that'
            raise Refused("subcommand", why)
    elif name not in VERBS or " " in name:
        raise Refused("verb", f'"{shown(name)}" is not allowed: {verb_hint(name, list(VERBS))}')
    return VERBS[name], [*words[:at], *words[after:]]


def _read_long(argument: str, rest: Iterator[str], verb: Verb) -> Iterator[tuple[Flag, str]]:
    """`--name=value`, `--name value` or `--switch`."""
    given, equals, value = argument.partition("=")
    name = given[2:].replace("_", "-")
    flag = verb.flags.get(name)
    if flag is None:
        raise _unknown(given, name, verb)
    if not equals:
        value = "true" if flag.rule.type is FlagType.BOOL else _next(rest, given)
    yield flag, value


def _read_short(argument: str, rest: Iterator[str], verb: Verb) -> Iterator[tuple[Flag, str]]:
    """A cluster of letters, from left to right."""
    shorts = {flag.short: flag for flag in verb.flags.values() if flag.short}
    cluster = argument[1:]
    while cluster:
        letter, cluster = cluster[0], cluster[1:]
        flag = shorts.get(letter)
        if flag is None:
            elsewhere = (flag.name for each in VERBS.values() for flag in each.flags.values() if flag.short == letter)
            within = "" if argument[1] == letter else f" in {argument}"
            raise _unknown(f"-{letter}{within}", NEVER_SHORT.get(letter) or next(elsewhere, letter), verb)
        if len(cluster) > 1 and cluster[0] == "=":
            value, cluster = cluster[1:], ""
        elif flag.rule.type is FlagType.BOOL:
            value = "true"
        else:
            value, cluster = cluster or _next(rest, f"-{letter}"), ""
        yield flag, value


def _next(rest: Iterator[str], flag: str) -> str:
    value = next(rest, None)
    if value is None:
        raise Refused("flag", f"{flag} needs a value after it")
    return value


def _unknown(given: str, name: str, verb: Verb) -> Refused:
    if name in NEVER:
        return Refused("flag", f"{shown(given)} is not allowed: {NEVER[name]}")
    owners = [each.name for each in VERBS.values() if name in each.flags]
    near = get_close_matches(name, [flag for flag in verb.flags if flag not in AGENTS_OWN], 1, 0.6)
    hint = f"it belongs to {', '.join(owners[:3])}" if owners else f"did you mean --{near[0]}?" if near else "drop it"
    return Refused("flag", f"{shown(given)} is not a flag of kubectl {verb.name}: {hint}")
