"""Whatever comes in: a refusal or a plan, and a plan that means what it says.

Hypothesis looks for the smallest line that breaks this; known lines with changes are so many that a plain generator
makes them.
"""

import random
import re

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.guard import Policy, Refused, decide, parse_policy
from agent.guard.grammar import parse
from agent.guard.refused import NEVER
from agent.guard.resources import is_own
from agent.guard.tables import VERBS
from tests.kit import THOROUGH
from tests.unit.guard.cases import CASES

LINES = 100_000 if THOROUGH else 3000
lines = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

ALLOWED = {verb.name: verb.flags.keys() | verb.always.keys() for verb in VERBS.values()}
GOOD = [case for case in CASES if case.allowed]
WORDS = sorted({word for case in CASES for word in case.args if len(word) < 80})
FLAGS = sorted({name for verb in VERBS.values() for name in verb.flags} | set(NEVER))
SHORTS = sorted({flag.short for verb in VERBS.values() for flag in verb.flags.values() if flag.short} | set("fkRsvxt"))
NARROW = parse_policy('namespaces = ["prod", "dev"]\ncluster_types = ["nodes"]\ntypes = ["pods", "nodes", "deploy"]')
DENIES = parse_policy('denied_types = ["certificates", "pods"]')

word = st.sampled_from(WORDS)
odd = st.text(st.characters(), max_size=6) | st.sampled_from(
    ["", "-", "--", "=", "-v=9", "--kuberc=x", "\0", "\ud800", "a" * 300]
)
value = word | odd
long_flag = st.builds(
    lambda name, form, given: f"--{name}{'=' + given if form else ''}", st.sampled_from(FLAGS), st.booleans(), value
)
short_flags = st.builds(
    lambda letters, given: "-" + "".join(letters) + given,
    st.lists(st.sampled_from(SHORTS), min_size=1, max_size=4),
    value | st.just(""),
)
argument = word | long_flag | short_flags | odd
built = st.builds(
    lambda verb, rest: [*verb.name.split(), *rest],
    st.sampled_from(list(VERBS.values())),
    st.lists(argument, max_size=8),
)  # begins well, goes on anyhow


def plan_of(args: object, policy: Policy | None = None) -> tuple[str, ...] | None:
    try:
        return decide(args, policy) if policy else decide(args)
    except Refused as refused:
        refusal = refused
    assert refusal.sentence.isprintable()
    return None


def check(args: object) -> None:
    plan = plan_of(args)
    narrowed = plan_of(args, NARROW)
    denied = plan_of(args, DENIES)
    if plan is None:
        assert narrowed is denied is None  # a policy file never widens
        return
    if denied is not None:
        assert denied == plan
        check_types(plan)
    assert decide(list(plan)) == plan
    verb, flags, _ = parse(plan)
    assert list(plan[: plan.index("--v=0")]) == verb.name.split()
    assert flags.keys() <= ALLOWED[verb.name]
    head = plan[plan.index("--v=0") : plan.index("--") if "--" in plan else None]
    assert {each[2:].partition("=")[0] for each in head} == flags.keys()
    assert sum(map(len, plan)) < 20_000
    "\0".join(plan).encode()  # a child process can be given it
    if narrowed is not None and verb.namespaced and flags.get("help") != ["true"]:
        assert {"--namespace=prod", "--namespace=dev"} & set(narrowed)
        assert "--all-namespaces=true" not in narrowed


def check_types(plan: tuple[str, ...]) -> None:
    """Nothing that could be a pod or a certificate is read where both are denied."""
    operands = parse(plan)[2]
    assert plan[0] != "logs" or "--help=true" in plan
    if plan[0] in ("get", "describe") and operands:
        pairs = [each.partition("/")[0] for each in operands if "/" in each]
        for kind in pairs or operands[0].split(","):
            assert is_own(kind) or re.search(r"\.[a-z0-9-]+\.[a-z0-9-]+", kind.lower()), kind
            assert not re.match(
                r"po(ds?)?(\.|$)|podmetrics|certificates?(\.|$)|certs?(\.|$)|all(\.|$)", kind.lower()
            ), kind


@lines
@given(built)
def test_lines_that_begin_well(args: list[str]) -> None:
    check(args)


@lines
@given(st.lists(argument, max_size=10))
def test_words_in_any_order(args: list[str]) -> None:
    check(args)


def random_argument(chance: random.Random) -> str:
    """A word, a flag in one of its forms, or something odd."""
    given = chance.choice([*WORDS, "", "-", "--", "=", "-v=9", "x y", "é", "a" * 300])
    letters = "".join(chance.choices(SHORTS, k=chance.randint(1, 3)))
    name = chance.choice(FLAGS)
    return chance.choice([given, given, f"--{name}={given}", f"--{name}", f"-{letters}{given}", f"-{letters}={given}"])


def random_line(chance: random.Random) -> list[str]:
    """A known line with a few changes."""
    args = list(chance.choice(chance.choice([CASES, GOOD])).args)[:20]
    for _ in range(chance.randint(1, 2)):
        at = chance.randint(0, len(args))
        there = args[at : at + 1]
        match chance.choice(["drop", "swap", "cut", "upper", "join", "replace", "insert", "insert"]):
            case "drop":
                del args[at : at + 1]
            case "swap":
                args[at : at + 2] = reversed(args[at : at + 2])
            case "cut":
                args[at : at + 1] = [each[: chance.randint(0, 9)] + chance.choice("-=,./ A0") for each in there]
            case "upper":
                args[at : at + 1] = [each.swapcase() for each in there]
            case "join":
                args[at : at + 2] = ["".join(args[at : at + 2])]
            case "replace":
                args[at : at + 1] = [random_argument(chance)]
            case "insert":
                args.insert(at, random_argument(chance))
    return args


@pytest.mark.parametrize("seed", range(4))
def test_many_known_lines_with_changes(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(LINES // 4):
        check(random_line(chance))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=4,
)


@lines
@given(anything | st.lists(anything))
def test_things_that_are_no_command_line(args: object) -> None:
    check(args)


@pytest.mark.parametrize(
    "args",
    [
        ["get", "x" * 200_000],
        ["get"] * 10_000,
        ["get", "pods", "-o", "go-template=" + "{{" * 8000],
        ["get", "pods", "-o", "go-template={{" + '"' + "\\" * 16_000],
        ["get", "pods", "-o", "go-template={{/*" + "*/" * 8000],
        ["get", "pods", "-o", "jsonpath=" + "[" * 16_000],
        ["logs", "x", "--since=" + "1" * 16_000 + "x"],
        ["logs", "x", "--tail=" + "1" * 16_000],
        ["get", "pods", "-l", "a=" * 8000],
        ["get", "pods", "-L" + "a," * 8000],
        ["get", ",".join(["pods"] * 3000)],
        ["get", "a." * 8000],
        ["explain", "a." * 8000],
        ["auth", "can-i", "get", "a" * 16_000 + "!"],
        ["get", "pods", "-" + "A" * 16_000],
        ["get", "pods", "--" + "_" * 16_000],
        ["get", "pods", "a" * 16_000],
    ],
    ids=lambda args: repr(args)[:40],
)
def test_what_is_huge_is_answered_at_once(args: list[str]) -> None:
    check(args)
