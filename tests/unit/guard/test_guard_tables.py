"""The tables: true of kubectl, the policy that was agreed, and not one line of them idle."""

import re
from dataclasses import replace
from unittest.mock import patch

import pytest

from agent.guard import DEFAULT_POLICY, explain, formats, grammar, operands, resources
from agent.guard.grammar import parse
from agent.guard.operands import Operands
from agent.guard.refused import NEVER, NEVER_SHORT
from agent.guard.tables import GLOBAL, SUBCOMMAND_ALIASES, VERBS, Flag, Verb
from agent.guard.values import FlagType, ValueRule
from tests.unit.guard.cases import CASES, HERE, KUBECTL_FLAGS, Case, plan_or_none, verb_replaced

KINDS = {"bool": FlagType.BOOL, "int": FlagType.INT, "duration": FlagType.DURATION, "string": FlagType.TEXT}
LISTS = {"label-columns", "types", "categories", "verbs"}  # `--help` calls them strings too
OWN_FLAGS = [(verb, flag) for verb in VERBS.values() for flag in verb.flags.values() if flag.name not in GLOBAL]
GIVEN = {
    "rollout status": ("rollout", "status", "--v=0", "--timeout=10s", "--watch=false", "--", "deploy/web"),
    "logs": ("logs", "--v=0", "--pod-running-timeout=1s", "--", "deploy/web"),
}
SNAPSHOT = HERE / "policy.txt"
each_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))


def flag_id(item: object) -> str:
    return item.name if isinstance(item, Verb | Flag) else repr(item)


@pytest.mark.parametrize(
    ("verb", "flag"), [*OWN_FLAGS, *((VERBS["get"], flag) for flag in GLOBAL.values())], ids=flag_id
)
def test_a_flag_is_as_kubectl_has_it(verb: Verb, flag: Flag) -> None:
    known = KUBECTL_FLAGS["_global"] | KUBECTL_FLAGS[verb.name]
    short, kind, _ = known[flag.name]
    assert flag.short == ("" if flag.name == "v" else short)  # only the long form stands in a written line
    expected = FlagType.TEXT if flag.name == "v" else FlagType.LIST if flag.name in LISTS else KINDS[kind]
    assert flag.rule.type is expected


@each_verb
def test_a_refusal_has_a_reason_for_every_flag_that_kubectl_has(verb: Verb) -> None:
    elsewhere = {flag.name for _, flag in OWN_FLAGS}
    for name, (short, _, _) in (KUBECTL_FLAGS["_global"] | KUBECTL_FLAGS[verb.name]).items():
        assert name in verb.flags or name in NEVER or name in elsewhere, f"--{name}"
        if short and name not in verb.flags and name in NEVER:
            assert NEVER_SHORT.get(short) == name, f"-{short}"


def test_the_policy_is_the_one_that_was_agreed() -> None:
    """Whoever changes the tables changes this file with them: the difference is what a reviewer has to agree to."""
    assert explain(DEFAULT_POLICY) == SNAPSHOT.read_text()


def something_turns_red(cases: list[Case]) -> bool:
    return any(not case.is_decided_right for case in cases)


def is_missed(verb: Verb, new: Verb | None) -> bool:
    """Whether some case notices that a verb is another one."""
    cases = [case for case in CASES if {verb.name.split()[0], verb.name.split()[-1]} & set(case.args)]
    with verb_replaced(verb.name, new):
        return something_turns_red(cases)


@pytest.mark.parametrize(("verb", "flag"), OWN_FLAGS, ids=flag_id)
def test_a_flag_is_missed_and_so_are_its_rule_and_its_short_name(verb: Verb, flag: Flag) -> None:
    rest = {name: each for name, each in verb.flags.items() if each is not flag}
    assert is_missed(verb, replace(verb, flags=rest))
    if flag.rule.says not in ("", "text"):
        free = replace(flag, rule=ValueRule(flag.rule.type))
        assert is_missed(verb, replace(verb, flags={**rest, flag.name: free}))
    if flag.short:
        assert is_missed(verb, replace(verb, flags={**rest, flag.name: replace(flag, short="")}))


@each_verb
def test_no_verb_takes_a_flag_that_never_runs(verb: Verb) -> None:
    """Whatever the tables say: what else is let in shows in the written policy."""
    lines = (case.args for case in CASES if case.allowed and "--" not in case.args)
    line = next(line for line in lines if parse(line)[0] is verb)
    for name in NEVER.keys() - {"watch", "follow", "timeout", "recursive", "template", "v"}:
        for value in ("x", "true", "10s"):
            assert plan_or_none([*line, f"--{name}={value}"]) is None, name


@pytest.mark.parametrize("flag", GLOBAL.values(), ids=list(GLOBAL))
def test_a_global_flag_is_missed_and_so_is_its_rule(flag: Flag) -> None:
    others = {
        verb.name: replace(verb, flags={k: v for k, v in verb.flags.items() if k != flag.name})
        for verb in VERBS.values()
    }
    with patch.dict(VERBS, others):
        assert something_turns_red(CASES)
    if flag.rule.says:
        free = replace(flag, rule=ValueRule(flag.rule.type))
        with patch.dict(VERBS, {k: replace(v, flags={**v.flags, flag.name: free}) for k, v in others.items()}):
            assert something_turns_red(CASES)


@each_verb
def test_a_verb_is_missed_and_so_are_its_operands(verb: Verb) -> None:
    assert is_missed(verb, None)
    assert is_missed(verb, replace(verb, operands=Operands("", lambda *_: [])))


def without(word: str, place: str) -> bool:
    """Whether some case notices that a word is missing in a list of types."""
    base = word.partition(".")[0]
    with patch.dict(getattr(resources, place)):
        del getattr(resources, place)[base]
        short = base[:-1]
        return something_turns_red([case for case in CASES if any(short in arg.lower() for arg in case.args)])


@pytest.mark.parametrize("name", resources.CREDENTIALS.values())
def test_a_type_with_credentials_that_is_let_in_is_noticed(name: str) -> None:
    assert without(name, "CREDENTIALS")


@pytest.mark.parametrize("name", resources.TABLE_ONLY.values())
def test_a_type_that_is_only_listed_is_missed_when_it_is_printed(name: str) -> None:
    assert without(name, "TABLE_ONLY")


@pytest.mark.parametrize("pattern", ["_NAMED_FOR_IT", "_POINTERS"])
def test_every_word_of_a_rule_for_names_is_missed(pattern: str) -> None:
    rule = getattr(resources, pattern).pattern
    words = set(re.findall(r"[a-z]{3,}", rule))
    assert len(words) > 6
    for word in words:
        with patch.object(resources, pattern, re.compile(rule.replace(word, word + "0"))):
            assert something_turns_red([case for case in CASES if any(word in arg.lower() for arg in case.args)]), word


@pytest.mark.parametrize("group", resources._POINTER_GROUPS)
def test_a_group_of_pointers_is_missed(group: str) -> None:
    with patch.object(resources, "_POINTER_GROUPS", tuple(set(resources._POINTER_GROUPS) - {group})):
        assert something_turns_red([case for case in CASES if any(group in arg for arg in case.args)])


FORMATTED = [case for case in CASES if any("=" in arg for arg in case.args)]
KNOWN_WORDS = formats.ALLOWED_WORDS.split()


@pytest.mark.parametrize("word", KNOWN_WORDS)
def test_a_word_of_templates_that_is_dropped_is_missed(word: str) -> None:
    with patch.object(formats, "ALLOWED_WORDS", " ".join(set(KNOWN_WORDS) - {word})):
        assert something_turns_red(FORMATTED)


@pytest.mark.parametrize(
    "word", ["define", "template", "block", "print", "js", "html", "urlquery", "call", "base64decode"]
)
def test_a_word_of_templates_that_is_let_in_is_noticed(word: str) -> None:
    with patch.object(formats, "ALLOWED_WORDS", f"{formats.ALLOWED_WORDS} {word}"):
        assert something_turns_red(FORMATTED)


@pytest.mark.parametrize("name", [name for name in vars(formats) if name.startswith("MAX_")])
def test_the_bounds_of_formats_are_tight(name: str) -> None:
    bound = getattr(formats, name)
    for other in (bound - 1, bound + 1):
        with patch.object(formats, name, other):
            assert something_turns_red(FORMATTED)


@pytest.mark.parametrize("alias", SUBCOMMAND_ALIASES)
def test_an_alias_that_is_dropped_is_missed(alias: str) -> None:
    rest = {name: verb for name, verb in SUBCOMMAND_ALIASES.items() if name != alias}
    with patch.object(grammar, "SUBCOMMAND_ALIASES", rest):
        assert something_turns_red([case for case in CASES if "top" in case.args])


def test_what_goes_with_a_verb_unasked_is_written() -> None:
    assert {verb.name for verb in VERBS.values() if verb.always or verb.unless_asked} == GIVEN.keys()
    for name, line in GIVEN.items():
        assert plan_or_none([*name.split(), "deploy/web"]) == line
    asked = plan_or_none(["logs", "deploy/web", "--pod-running-timeout=5s"])
    assert asked is not None
    assert "--pod-running-timeout=5s" in asked


def test_names_and_types_have_the_form_that_cases_pin() -> None:
    """Without the check of names, of types or of either, some case turns red."""
    for place in ("NAME", "TYPE", "_VERB", "_ASKED"):
        with patch.object(operands, place, re.compile(r".*")):
            assert something_turns_red(CASES), place
