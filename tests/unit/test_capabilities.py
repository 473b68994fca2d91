"""What the API is told of a policy: the truth, within its bounds."""

import pytest

from agent.guard import DEFAULT_POLICY, Refused, decide, parse_policy
from agent.link.stream import MAX_FLAGS, MAX_RESTRICTED_TYPES, MAX_VERBS, report
from agent.log_search import LogSearch
from demo.contract import capability_problems

NARROW = parse_policy('verbs = ["get", "logs", "rollout status"]\nnamespaces = ["prod"]\ndenied_types = ["configmaps"]')
A_FEW_TYPES = parse_policy('types = ["pods", "events"]')


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, NARROW, A_FEW_TYPES])
def test_the_api_takes_the_report(policy):
    told = report(policy.capabilities())
    assert capability_problems({k: list(v) if isinstance(v, tuple) else v for k, v in told.items()}) == []
    assert told["mode"] == "readOnly"


def test_nothing_is_cut_from_the_default_report():
    told = DEFAULT_POLICY.capabilities()
    assert len(told.verbs) <= MAX_VERBS
    assert len(told.restricted_types) <= MAX_RESTRICTED_TYPES
    assert len(told.flags) <= MAX_FLAGS


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, NARROW, A_FEW_TYPES])
def test_no_restricted_type_is_read(policy):
    told = policy.capabilities().restricted_types
    assert told[0] == "secrets"
    for kind in told:
        with pytest.raises(Refused):
            decide(["get", kind], policy)


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, NARROW, A_FEW_TYPES])
def test_every_type_that_is_not_restricted_is_read(policy):
    told = policy.capabilities().restricted_types
    for kind in ("pods", "events", "configmaps", "nodes", "namespaces"):
        if kind not in told:
            assert decide(["get", kind], policy)[0] == "get"


@pytest.mark.parametrize("rules", ["", 'verbs = ["logs"]', 'verbs = ["get"]', 'types = ["nodes"]', 'types = ["pods"]'])
def test_logs_are_searched_where_the_report_has_both_verbs_and_pods(rules):
    policy = parse_policy(rules)
    told = policy.capabilities()
    search = LogSearch("prod", "ERROR", "app=web")
    runs = True
    for line in (search.pods_line(), search.logs_line("web-0", "app")):
        try:
            decide(line, policy)
        except Refused:
            runs = False
    assert runs is ({"get", "logs"} <= set(told.verbs) and "pods" not in told.restricted_types)


def test_the_verbs_are_those_of_the_policy():
    assert NARROW.capabilities().verbs == ("get", "logs", "rollout status", "rollout")
    assert {"top pod", "top", "auth can-i", "cluster-info"} <= set(DEFAULT_POLICY.capabilities().verbs)
    assert parse_policy('verbs = ["top pod"]').capabilities().verbs == ("top pod", "top")


def test_flags_that_the_guard_refuses_are_not_offered():
    offered = set(DEFAULT_POLICY.capabilities().flags)
    assert {"--namespace", "-n", "--selector", "--tail"} <= offered
    assert not offered & {"--watch", "-w", "--follow", "-f", "--v", "--kubeconfig", "--token", "--timeout"}
    assert not set(NARROW.capabilities().flags) & {"--all-namespaces", "-A"}


def test_a_report_of_anything_stays_within_the_bounds():
    told = parse_policy('types = ["pods"]').capabilities()
    assert len(told.restricted_types) > MAX_RESTRICTED_TYPES
    assert report(told)["restricted_resources"] == told.restricted_types[:MAX_RESTRICTED_TYPES]
