"""What a refusal says. Its reader is often a model, which will do what the sentence says."""

import re
import shlex

import pytest

from agent.guard import Refused, decide
from agent.guard.tables import AGENTS_OWN, VERBS
from tests.unit.guard.cases import EVERY_CASE


def sentence(line: str | list[str]) -> str:
    with pytest.raises(Refused) as refusal:
        decide(shlex.split(line) if isinstance(line, str) else line)
    return refusal.value.sentence


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("logs web-0 '|' tail -5", "is for a shell, and there is none here; send each command by itself"),
        ("get pods -A '|grep' x", "use -l, --field-selector, --tail or -o jsonpath"),
        ("get pods '2>/dev/null'", "is for a shell"),
        ("get pods -o 'jsonpath=$(cat x)'", "is for a shell"),
        ("get secrets '|' grep x", "is for a shell"),
        ("logs '<pod-name>'", "stands for a name; get TYPE lists the real ones"),
        ("auth can-i get pods --as=jane", "get rolebindings,clusterrolebindings -A -o wide shows"),
        ("auth can-i --list --as system:serviceaccount:a:b", "can't answer for others"),
        ("wait --for=condition=Ready pod/x", "rollout status TYPE/NAME or get TYPE NAME -o jsonpath={.status.c"),
        ("config current-context", "cluster-info says which server"),
        ("get pods --for=pod/x", "it belongs to events"),
        ("events --sort-by=.lastTimestamp", "it belongs to get, top pod, top node"),
        ("describe pod x -o yaml", "it belongs to get, events, api-resources"),
        ("describe pods --field-selector=a=b", "it belongs to get, top pod"),
        ("get pods --tail=5", "it belongs to logs"),
        ("get pods --outptu=json", "did you mean --output?"),
        ("get pods --labels=app", "did you mean --show-labels?"),
        ("get pods --nonsense", "--nonsense is not a flag of kubectl get: drop it"),
        ("describe pod x -w", "never watches; drop -w"),
        ("top pods -f", "opens local files"),
        ("cluster-info dump", "ask for what you need, as in get pods -A -o wide"),
        ("logs 'web-*'", "there are no wildcards; -l chooses by label"),
        ("get pods 'web-*'", "get TYPE lists all names"),
        ("log web-0", "did you mean logs?"),
        ("exec web-0 -- ls", "logs, describe pod and events"),
        ("adm top nodes", "this is kubectl without plug-ins, and not oc"),
        ("get secrets", "what goes wrong for want of one shows in describe pod and get events"),
        ("get 'pods -A'", "every word is an argument of its own"),
        ("get mc -o yaml", "shown only as a table: get mc -o wide"),
        ("get secret x --template={{.data|base64decode}}", "such objects hold credentials"),
        ("get --raw /api/v1/pods", "use get TYPE NAME -o json"),
        ("get pods -n '*'", "-A reads all"),
        (["get", "pods", "b\u00fc"], '"b\u00fc" is not a valid name'),
        (["get", "pods", "\u65e5\u672c"], "\u65e5\u672c"),
        (["get", "pods", "a\u202eb"], "a\\u202eb"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do_instead(line: str | list[str], says: str) -> None:
    assert says in sentence(line)


@pytest.mark.parametrize("line", ["auth can-i get pods --as=jane", "get pods --as jane", "auth can-i --list --as=x"])
def test_nobody_is_told_to_ask_as_the_agent_instead(line: str) -> None:
    """The answer would be another one."""
    assert "drop" not in sentence(line)


@pytest.mark.parametrize("line", ["get secrets", "describe secret x", "get secret/x -o yaml", "get clustersecrets"])
def test_secrets_are_not_sent_to_verbs_that_others_refuse(line: str) -> None:
    assert not re.search("auth|cluster-info|explain", sentence(line))


def test_a_flag_that_is_recommended_is_not_refused() -> None:
    said = 0
    for case in EVERY_CASE:
        if case.allowed:
            continue
        with pytest.raises(Refused) as refusal:
            decide(case.args, case.policy)
        near = re.search(r"of kubectl ([a-z -]+): did you mean --([a-z-]+)", refusal.value.sentence)
        if near:
            assert near[2] in VERBS[near[1]].flags.keys() - AGENTS_OWN
            said += 1
    assert said > 10
