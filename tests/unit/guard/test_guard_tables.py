"""The tables: true of kubectl, the policy that was agreed, and not one line of them idle."""

import re
from dataclasses import replace
from types import ModuleType
from unittest.mock import patch

import pytest

from agent.guard import DEFAULT_POLICY, grammar, operands, output, resources, template
from agent.guard.explain import explain
from agent.guard.hints import NEVER, NEVER_SHORT
from agent.guard.operands import Operands
from agent.guard.tables import (
    GLOBAL,
    SUBCOMMAND_ALIASES,
    VERBS,
    WHOLE_VERBS,
    Flag,
    Verb,
)
from agent.guard.values import FlagType, anything
from tests.unit.guard.cases import CASES, HERE, KUBECTL_FLAGS, Case, plan_or_none, verbs_replaced

KINDS = {"bool": FlagType.BOOL, "int": FlagType.INT, "duration": FlagType.DURATION, "string": FlagType.TEXT}
LISTS = {"label-columns", "types", "categories", "verbs"}  # `--help` calls them strings too
OWN_FLAGS = [(verb, flag) for verb in VERBS for flag in verb.flags]
GIVEN = {
    "rollout status": ("rollout", "status", "--v=0", "--timeout=10s", "--watch=false", "--", "deploy/web"),
    "logs": ("logs", "--v=0", "--pod-running-timeout=1s", "--", "deploy/web"),
}
SNAPSHOT = HERE / "policy.txt"


def flag_id(item: object) -> str:
    return item.name if isinstance(item, Verb | Flag) else repr(item)


@pytest.mark.parametrize(("verb", "flag"), [*OWN_FLAGS, *((VERBS[0], flag) for flag in GLOBAL)], ids=flag_id)
def test_a_flag_is_as_kubectl_has_it(verb: Verb, flag: Flag) -> None:
    known = KUBECTL_FLAGS["_global"] | KUBECTL_FLAGS[verb.name]
    short, kind, _ = known[flag.name]
    assert flag.short == ("" if flag.name == "v" else short)  # only the long form stands in a written line
    expected = FlagType.TEXT if flag.name == "v" else FlagType.LIST if flag.name in LISTS else KINDS[kind]
    assert flag.type is expected


def test_a_refusal_has_a_reason_for_every_flag_that_kubectl_has() -> None:
    for verb in WHOLE_VERBS:
        taken = {flag.name for flag in verb.flags} | {flag.name for flag in GLOBAL}
        elsewhere = {flag.name for _, flag in OWN_FLAGS}
        for name, (short, _, _) in (KUBECTL_FLAGS["_global"] | KUBECTL_FLAGS[verb.name]).items():
            assert name in taken or name in NEVER or name in elsewhere, f"{verb.name} --{name}"
            if short and name not in taken and name in NEVER:
                assert NEVER_SHORT.get(short) == name, f"{verb.name} -{short}"


def test_the_policy_is_the_one_that_was_agreed() -> None:
    """Whoever changes the tables changes this file with them: the difference is what a reviewer has to agree to."""
    assert explain(DEFAULT_POLICY) == SNAPSHOT.read_text()


def something_turns_red(cases: list[Case]) -> bool:
    return any(not case.is_decided_right for case in cases)


def cases_of(verb: Verb) -> list[Case]:
    return [case for case in CASES if any(word in case.args for word in (verb.name.split()[-1], verb.name.split()[0]))]


def with_verb(old: Verb, new: Verb | None) -> tuple[Verb, ...]:
    return tuple(verb for verb in (new if each is old else each for each in VERBS) if verb is not None)


def with_flag(verb: Verb, old: Flag, new: Flag | None) -> tuple[Verb, ...]:
    flags = tuple(flag for flag in (new if each is old else each for each in verb.flags) if flag is not None)
    return with_verb(verb, replace(verb, flags=flags))


@pytest.mark.parametrize(("verb", "flag"), OWN_FLAGS, ids=flag_id)
def test_a_flag_that_is_dropped_is_missed(verb: Verb, flag: Flag) -> None:
    with verbs_replaced(with_flag(verb, flag, None)):
        assert something_turns_red(cases_of(verb))


@pytest.mark.parametrize(("verb", "flag"), [pair for pair in OWN_FLAGS if pair[1].rule.says], ids=flag_id)
def test_a_rule_that_is_dropped_is_missed(verb: Verb, flag: Flag) -> None:
    with verbs_replaced(with_flag(verb, flag, replace(flag, rule=anything()))):
        assert something_turns_red(cases_of(verb))


@pytest.mark.parametrize(("verb", "flag"), [pair for pair in OWN_FLAGS if pair[1].short], ids=flag_id)
def test_a_short_name_that_is_dropped_is_missed(verb: Verb, flag: Flag) -> None:
    with verbs_replaced(with_flag(verb, flag, replace(flag, short=""))):
        assert something_turns_red(cases_of(verb))


@pytest.mark.parametrize("verb", WHOLE_VERBS, ids=flag_id)
def test_a_flag_that_is_let_in_is_noticed(verb: Verb) -> None:
    taken = {flag.name for flag in verb.flags} | {flag.name for flag in GLOBAL} | {"kuberc", "template"}
    for name, (short, kind, _) in (KUBECTL_FLAGS["_global"] | KUBECTL_FLAGS[verb.name]).items():
        if name not in taken:
            new = replace(verb, flags=(*verb.flags, Flag(name, KINDS[kind], short=short)))
            with verbs_replaced(with_verb(verb, new)):
                assert something_turns_red(cases_of(verb)), name


@pytest.mark.parametrize("flag", GLOBAL, ids=flag_id)
def test_a_global_flag_is_missed_and_so_is_its_rule(flag: Flag) -> None:
    for new in ([], [replace(flag, rule=anything())] if flag.rule.says else []):
        with (
            verbs_replaced(VERBS),
            patch.object(grammar, "GLOBAL", (*(each for each in GLOBAL if each is not flag), *new)),
        ):
            assert something_turns_red(CASES)


@pytest.mark.parametrize("verb", VERBS, ids=flag_id)
def test_a_verb_is_missed_and_so_are_its_operands(verb: Verb) -> None:
    with verbs_replaced(with_verb(verb, None)):
        assert something_turns_red(cases_of(verb))
    with verbs_replaced(with_verb(verb, replace(verb, operands=Operands("", lambda *_: [])))):
        assert something_turns_red(cases_of(verb))


LISTED = [(holds, name) for holds, names in resources.CREDENTIALS.items() for name in names.split()]


def name_in(case: Case, name: str) -> bool:
    short = name.partition(".")[0][:-1]
    return any(short in arg.lower() for arg in case.args)


@pytest.mark.parametrize(("holds", "name"), LISTED, ids=str)
def test_a_type_with_credentials_that_is_let_in_is_noticed(holds: str, name: str) -> None:
    rest = " ".join(each for each in resources.CREDENTIALS[holds].split() if each != name)
    with patch.object(resources, "CREDENTIALS", {**resources.CREDENTIALS, holds: rest}):
        assert something_turns_red([case for case in CASES if name_in(case, name)])


@pytest.mark.parametrize("name", resources.TABLE_ONLY.split())
def test_a_type_that_is_only_listed_is_missed_when_it_is_printed(name: str) -> None:
    with patch.object(resources, "TABLE_ONLY", " ".join(set(resources.TABLE_ONLY.split()) - {name})):
        assert something_turns_red([case for case in CASES if name_in(case, name)])


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


@pytest.mark.parametrize("word", sorted(template.ALLOWED_WORDS))
def test_a_word_of_templates_that_is_dropped_is_missed(word: str) -> None:
    with patch.object(template, "ALLOWED_WORDS", template.ALLOWED_WORDS - {word}):
        assert something_turns_red([case for case in CASES if any("template=" in arg for arg in case.args)])


@pytest.mark.parametrize(
    "word",
    ["define", "template", "block", "print", "js", "html", "urlquery", "call", "base64decode"],
)
def test_a_word_of_templates_that_is_let_in_is_noticed(word: str) -> None:
    with patch.object(template, "ALLOWED_WORDS", template.ALLOWED_WORDS | {word}):
        assert something_turns_red([case for case in CASES if any("template=" in arg for arg in case.args)])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *((output, name) for name in ("MAX_UNION", "MAX_DESCENTS", "MAX_SEARCHES", "MAX_COLUMNS")),
        *((template, name) for name in ("MAX_AGAIN", "MAX_PRINTED", "MAX_WIDTH", "MAX_NUMBER")),
    ],
)
def test_the_bounds_of_formats_are_tight(module: ModuleType, name: str) -> None:
    bound = getattr(module, name)
    for other in (bound - 1, bound + 1):
        with patch.object(module, name, other):
            assert something_turns_red([case for case in CASES if any("=" in arg for arg in case.args)])


@pytest.mark.parametrize("alias", SUBCOMMAND_ALIASES)
def test_an_alias_that_is_dropped_is_missed(alias: str) -> None:
    rest = {name: verb for name, verb in SUBCOMMAND_ALIASES.items() if name != alias}
    with patch.object(grammar, "SUBCOMMAND_ALIASES", rest):
        assert something_turns_red([case for case in CASES if "top" in case.args])


def test_what_goes_with_a_verb_unasked_is_written() -> None:
    assert {verb.name for verb in VERBS if verb.always or verb.unless_asked} == GIVEN.keys()
    for name, line in GIVEN.items():
        assert plan_or_none([*name.split(), "deploy/web"]) == line
    asked = plan_or_none(["logs", "deploy/web", "--pod-running-timeout=5s"])
    assert asked is not None
    assert "--pod-running-timeout=5s" in asked


def test_names_and_types_have_the_form_that_cases_pin() -> None:
    """Without the check of names, of types or of either, some case turns red."""
    loose = re.compile(r".*")
    for place in ("NAME", "TYPE", "_FIELD", "_VERB", "_ASKED"):
        with patch.object(operands, place, loose):
            assert something_turns_red(CASES), place
