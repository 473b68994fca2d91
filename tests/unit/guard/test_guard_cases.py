"""Whole command lines: what runs, what doesn't, and that the line which is written means what it says."""

import pytest

from agent.guard import Refused, decide
from agent.guard.tables import VERBS
from tests.unit.guard.cases import CASES, EVERY_CASE

NEVER_WRITTEN = (
    "--filename", "--kustomize", "--watch-only", "--output-watch-events", "--server=", "--token", "--kubeconfig",
    "--context", "--cluster=", "--user", "--password", "--as=", "--as-", "--cache-dir", "--kuberc", "--proxy-url",
    "--profile", "--vmodule", "--log-flush", "--insecure", "--tls-", "--certificate-", "--client-", "--template",
    "--watch=true", "--follow=true",
)  # fmt: skip


@pytest.mark.parametrize("why", sorted({case.why for case in EVERY_CASE}))
def test_cases_are_decided_as_expected(why: str) -> None:
    assert [case for case in EVERY_CASE if case.why == why and not case.is_decided_right] == []


def test_there_are_cases_of_both_kinds() -> None:
    assert sum(case.allowed for case in CASES) > 400
    assert sum(not case.allowed for case in CASES) > 1000


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("get pods -A", "get --v=0 --all-namespaces=true -- pods"),
        (
            "get po -nprod -Lapp -L tier,x web-0",
            "get --v=0 --label-columns=app --label-columns=tier,x --namespace=prod -- po web-0",
        ),
        ("-l app=web get pods --no_headers", "get --v=0 --no-headers=true --selector=app=web -- pods"),
        (
            "logs web-0 app --tail 010 -f=false",
            "logs --v=0 --follow=false --pod-running-timeout=1s --tail=8 -- web-0 app",
        ),
        ("top po", "top pod --v=0"),
        ("rollout status deploy/web", "rollout status --v=0 --timeout=10s --watch=false -- deploy/web"),
        ("rollout status deploy/web --watch=f", "rollout status --v=0 --timeout=10s --watch=false -- deploy/web"),
        ("get pods -l app-v=9", "get --v=0 --selector=app-v=9 -- pods"),
        ("describe pods web-0 -h", "describe --v=0 --help=true"),
        ("get --raw /livez", "get --v=0 --raw=/livez"),
        ("auth can-i get pods -q", "auth can-i --v=0 --quiet=true -- get pods"),
    ],
)
def test_the_line_is_written_anew(args: str, line: str) -> None:
    assert " ".join(decide(args.split())) == line


def test_a_written_line_has_its_shape() -> None:
    for case in CASES:
        if case.allowed:
            plan = decide(case.args)
            at = plan.index("--v=0")
            assert " ".join(plan[:at]) in VERBS
            rest = plan[at + 1 :]
            flags = rest[: rest.index("--")] if "--" in rest else rest
            assert all(flag.startswith("--") and "=" in flag for flag in flags), plan
            assert not any(flag.startswith(NEVER_WRITTEN) for flag in flags), plan
            assert list(flags) == sorted(flags, key=lambda flag: flag.partition("=")[0]), plan


@pytest.mark.parametrize(
    ("args", "rule", "words"),
    [
        ([], "shape", "a verb is needed"),
        ("get pods", "shape", "list of strings"),
        ({"get": "pods"}, "shape", "list of strings"),
        (None, "shape", "list of strings"),
        (["get", 5], "shape", "list of strings"),
        (["get", ["pods"]], "shape", "list of strings"),
        (["get", "pods", "a\0b"], "shape", "can't be printed"),
        (["get", "pods", "\ud800"], "shape", "can't be printed"),
        (["get", "pods", "-o", "jsonpath={a}\n"], "shape", "write \\n"),
        (["get", "x" * 200_000], "shape", "16384 bytes"),
        (["get", "pods", "-o", "jsonpath=" + "é" * 9000], "shape", "16384 bytes"),
        (["get"] * 10_000, "shape", "10000 arguments are too many"),
        (["get", "--kuberc"], "shape", "--kuberc"),
        (["delete", "pod", "x"], "verb", "only reads"),
        (["-A", "get", "pods"], "verb", 'put "-A" after it'),
        (["-n", "prod"], "verb", "a verb is missing"),
        (["rollout", "undo", "deploy/web"], "subcommand", "use rollout history or rollout status"),
        (["top"], "subcommand", "use top pod or top node"),
        (["kubectl", "kubectl", "get"], "verb", "once is enough"),
        (["get pods -A"], "verb", "every word is an argument of its own"),
        (["Get", "pods"], "verb", "did you mean get?"),
        ([" get", "pods"], "verb", "did you mean get?"),
        (["help", "get"], "verb", "-h after a verb shows its help"),
        (["-s", "get", "version"], "flag", "-s is not allowed: the agent speaks only to its own cluster"),
        (["--as_group=x", "get", "pods"], "flag", "answer for others; get rolebindings,clusterrolebindings -A -o wide"),
        (["top", "-A", "pods"], "subcommand", "use top pod or top node, and flags after that"),
        (["rollout", "-n", "history", "restart", "deploy/web"], "subcommand", "use rollout history or rollout status"),
        (["get", "pods", "-w"], "value", "--watch is not allowed: the agent answers once and never watches; drop -w"),
        (["logs", "web", "-f"], "value", "drop -f"),
        (["get", "-f", "x"], "flag", "opens local files"),
        (["get", "pods", "--as=x"], "flag", "answer for others"),
        (["get", "pods", "--token=x"], "flag", "only as itself"),
        (["get", "pods", "-x"], "flag", "-x is not a flag of kubectl get: drop it"),
        (["get", "pods", "-v=9"], "flag", "-v is not allowed: debug output"),
        (["explain", "a", "b"], "operand", '"b" is one too many: explain takes one TYPE'),
        (["get", "pods", "-Atrue"], "flag", "-t in -Atrue is not a flag"),
        (["events", "-As=https://x"], "flag", "-s in -As=https://x is not allowed: the agent speaks only to its own"),
        (["get", "pods,,svc"], "operand", '"" is not a resource type, as in pods'),
        (["logs", "a", "b", "c"], "operand", '"c" is one too many'),
        (["top", "pod", "a", "b"], "operand", '"b" is one too many'),
        (["get", "--raw", "/livez", "pods"], "operand", "--raw takes a path and nothing else"),
        (["auth", "can-i", "--list", "get"], "operand", "or --list"),
        (["get", "pods", "-n"], "flag", "-n needs a value"),
        (["get", "pods", "-Aw=x"], "value", "takes true or false"),
        (["logs", "web", "--since=yesterday"], "value", "a duration such as 30s"),
        (["get", "pods", "-o", "go-template-file=/x"], "output", "prints a local file"),
        (["get", "pods", "-o", "go-template={{print 1}}"], "output", '"print" isn\'t allowed inside {{ }}'),
        (["get", "--raw", "/api"], "raw", "use get TYPE NAME -o json"),
        (["get", "pods", "-n", "a/b"], "namespace", "one namespace"),
        (["get", "secrets"], "type", "credentials"),
        (["get", "pods", "a%2fb"], "name", "not a valid name"),
        (["get"], "operand", "TYPE/NAME"),
    ],
)
def test_a_refusal_names_rule_and_reason(args: object, rule: str, words: str) -> None:
    with pytest.raises(Refused) as refusal:
        decide(args)
    assert refusal.value.rule == rule
    assert words in refusal.value.sentence
    assert str(refusal.value) == refusal.value.sentence


def test_a_refusal_can_be_shown_anywhere() -> None:
    for case in EVERY_CASE:
        if not case.allowed:
            with pytest.raises(Refused) as refusal:
                decide(case.args, case.policy)
            assert refusal.value.sentence.isprintable(), case
            assert len(refusal.value.sentence) < 600, case


def test_the_bounds_of_the_shape_are_exact() -> None:
    assert decide(["get", "pods", *["x"] * 62])
    with pytest.raises(Refused):
        decide(["get", "pods", *["x"] * 63])
    room = 16 * 1024 - len("get" + "pods" + "-o" + "jsonpath=")
    for filling in ("x" * room, "é" * (room // 2)):
        assert decide(["get", "pods", "-o", f"jsonpath={filling}"])
        with pytest.raises(Refused) as refusal:
            decide(["get", "pods", "-o", f"jsonpath={filling}{filling[:2]}"])
        assert refusal.value.rule == "shape"
