"""However kubectl lets people spell a line, the guard writes the same one."""

import random
from collections.abc import Iterator

import pytest

from agent.guard import decide
from agent.guard.grammar import parse
from agent.guard.operands import Flags
from agent.guard.tables import SUBCOMMAND_ALIASES, Flag, Verb
from agent.guard.values import FlagType
from agent.model import MAX_ARGUMENTS
from tests.unit.guard.cases import CASES

TRUE = ["1", "t", "T", "TRUE", "true", "True"]
FALSE = ["0", "f", "F", "FALSE", "false", "False"]
ALLOWED = [case.args for case in CASES if case.allowed]


def spelt(flag: Flag, value: str, chance: random.Random) -> list[str]:
    """One flag in one of its forms."""
    long = "--" + "".join(chance.choice("-_") if letter == "-" else letter for letter in flag.name)
    short = f"-{flag.short}" if flag.short else long
    if flag.rule.type is FlagType.BOOL:
        given = chance.choice(TRUE if value == "true" else FALSE)
        bare = [[long], [short]] if value == "true" else []
        return chance.choice([*bare, [f"{long}={given}"], [f"{short}={given}"]])
    forms = [[long, value], [f"{long}={value}"], [short, value]]
    if value:
        forms.append([f"{short}={value}"])
    if flag.short and value and not value.startswith("="):
        forms.append([short + value])
    return chance.choice(forms)


def spelt_flags(verb: Verb, flags: Flags, chance: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Every flag, in any order; some texts twice, as the last one wins; some switches in clusters."""
    cluster = ""
    for name in chance.sample(sorted(flags), len(flags)):
        flag = verb.flags[name]
        for value in flags[name]:
            if flag.rule.type is FlagType.TEXT and chance.random() < 0.2:
                yield name, spelt(flag, "overruled", chance)
            words = spelt(flag, value, chance)
            if words == [f"-{flag.short}"] and flag.rule.type is FlagType.BOOL:
                cluster += flag.short
            elif cluster and not words[0].startswith("--"):
                yield "", [f"-{cluster}{words[0][1:]}", *words[1:]]
                cluster = ""
            else:
                yield name, words
    if cluster:
        yield "", [f"-{cluster}"]


def spelt_anew(args: list[str], chance: random.Random) -> list[str]:
    """The same line in other words."""
    verb, flags, operands = parse(args)
    aliases = [alias for alias, name in SUBCOMMAND_ALIASES.items() if name == verb.name]
    before: list[str] = []
    after: list[list[str]] = []
    for name, words in spelt_flags(verb, flags, chance):
        whole = len(words) > 1 or "=" in words[0] or (not words[0].startswith("--") and len(words[0]) > 2)
        if name and whole and not after and chance.random() < 0.3:
            before += words
        else:
            after.append(words)
    among = operands[: chance.randint(0, len(operands))]
    behind = operands[len(among) :]
    for at in sorted(chance.choices(range(len(after) + 1), k=len(among)), reverse=True):
        after.insert(at, [among.pop()])
    spelt_verb = chance.choice([verb.name, *aliases]).split()
    return [*before, *spelt_verb, *(word for words in after for word in words), *(["--", *behind] if behind else [])]


@pytest.mark.parametrize("seed", range(3))
def test_every_spelling_of_an_allowed_line_is_the_same_line(seed: int) -> None:
    chance = random.Random(seed)
    for args in ALLOWED:
        other = spelt_anew(args, chance)
        if len(other) <= MAX_ARGUMENTS:
            assert decide(other) == decide(args), other
