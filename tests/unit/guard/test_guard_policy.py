"""The policy file narrows: verbs, types, namespaces, limits. It never widens."""

import pytest

from agent.errors import PolicyError
from agent.guard import DEFAULT_POLICY, Policy, Refused, decide, explain, parse_policy


def runs(policy: str, line: str) -> str:
    return " ".join(decide(line.split(), parse_policy(policy)))


def refused(policy: str, line: str) -> Refused:
    with pytest.raises(Refused) as refusal:
        decide(line.split(), parse_policy(policy))
    return refusal.value


def test_an_empty_file_narrows_nothing() -> None:
    assert parse_policy("# nothing\n") == DEFAULT_POLICY


VERBS = 'verbs = ["get", "rollout", "top pod"]'


@pytest.mark.parametrize("line", ["get pods", "top pods", "rollout history deploy/web", "rollout status deploy/web"])
def test_a_verb_that_is_named_runs(line: str) -> None:
    assert runs(VERBS, line)


@pytest.mark.parametrize("line", ["describe pods", "top nodes", "logs web-0", "version", "describe -h"])
def test_a_verb_that_is_not_named_does_not_run(line: str) -> None:
    found = refused(VERBS, line)
    assert found.rule == "policy"
    assert "it allows get, rollout history, rollout status, top pod" in found.sentence


TYPES = 'types = ["pods", "deploy", "events", "certificates"]'


@pytest.mark.parametrize(
    "line",
    [
        "get pods",
        "get po",
        "get Pod",
        "get pod/web-0",
        "get pods.v1.",
        "get deployments.apps",
        "describe deploy.v1.apps web",
        "get pods,deploy",
        "logs web-0",
        "logs deploy/web",
        "top pods",
        "events --for=pod/web-0",
        "get certificates",
        "rollout history deploy",
        "explain secrets",
        "auth can-i get nodes",
        "version",
        "get --raw /livez",
    ],
)
def test_a_type_that_is_named_is_read(line: str) -> None:
    assert runs(TYPES, line)


@pytest.mark.parametrize(
    "line",
    [
        "get nodes",
        "get all",
        "get pods,svc",
        "get pods/a svc/b",
        "logs job/x",
        "top nodes",
        "events --for=node/n1",
        "get sts",
        "rollout status ds/x",
        "describe cm",
        "get pods.example.com",
        "get deploy.ap",
        "get deployments.v1",
        "get certificate",
        "get certificates.cert-manager.io",
    ],
)
def test_a_type_that_is_not_named_is_not_read(line: str) -> None:
    assert refused(TYPES, line).rule == "policy"


DENIED = 'denied_types = ["configmaps", "Certificates.cert-manager.io", "policies", "deployments.apps"]'


@pytest.mark.parametrize(
    "line",
    [
        "get cm",
        "get ConfigMap x",
        "get configmaps.v1.",
        "get pods,cm",
        "get cm/a",
        "events --for=cm/x",
        "get certificates",
        "get certificate x",
        "get certificate.cert-manager.io",
        "get certificates.other.io",
        "get policy",
        "get policies.x.io",
        "get deploy",
        "get deploy.ap",
        "get deployment.v1.apps",
        "logs deploy/web",
        "get all",
        "get api-extensions",
        "get pods,all",
    ],
)
def test_a_type_that_is_denied_is_not_read(line: str) -> None:
    assert refused(DENIED, line).rule == "policy"


@pytest.mark.parametrize("named", ["Certificate", "certificates", "certificate.cert-manager.io"])
@pytest.mark.parametrize("line", ["get certificate", "get Certificates", "describe certificates.cert-manager.io x"])
def test_a_denied_type_may_be_named_in_the_singular(named: str, line: str) -> None:
    assert refused(f'denied_types = ["{named}"]', line).rule == "policy"


@pytest.mark.parametrize(
    "line", ["get pods", "logs web-0", "get networkpolicies", "get certificaterequests.cert-manager.io", "get pod cm"]
)
def test_a_type_that_is_not_denied_is_read(line: str) -> None:
    assert runs(DENIED, line)


ONE = 'namespaces = ["prod"]'
TWO = 'namespaces = ["prod", "dev"]\ncluster_types = ["no", "/readyz"]\nnamespaced_types = ["certificates", "all"]'
SPACES = 'namespaces = ["prod"]\ncluster_types = ["ns"]'


@pytest.mark.parametrize(
    ("policy", "line", "expected"),
    [
        (ONE, "get pods", "get --v=0 --namespace=prod -- pods"),
        (ONE, "get pods -n prod", "get --v=0 --namespace=prod -- pods"),
        (ONE, "logs web-0", "logs --v=0 --namespace=prod --pod-running-timeout=1s -- web-0"),
        (ONE, "events", "events --v=0 --namespace=prod"),
        (ONE, "top pods -A=false", "top pod --v=0 --all-namespaces=false --namespace=prod"),
        (ONE, "rollout history deploy/web", "rollout history --v=0 --namespace=prod -- deploy/web"),
        (ONE, "auth can-i get pods", "auth can-i --v=0 --namespace=prod -- get pods"),
        (ONE, "get deploy.v1.apps", "get --v=0 --namespace=prod -- deploy.v1.apps"),
        (ONE, "get roles.rbac.authorization.k8s.io", "get --v=0 --namespace=prod -- roles.rbac.authorization.k8s.io"),
        (ONE, "version", "version --v=0"),
        (ONE, "api-resources", "api-resources --v=0"),
        (ONE, "explain nodes", "explain --v=0 -- nodes"),
        (ONE, "get pods -h", "get --v=0 --help=true"),
        (TWO, "get pods -n dev", "get --v=0 --namespace=dev -- pods"),
        (TWO, "get nodes -n dev", "get --v=0 --namespace=dev -- nodes"),
        (TWO, "get nodes", "get --v=0 --namespace=prod -- nodes"),
        (TWO, "get --raw /readyz", "get --v=0 --namespace=prod --raw=/readyz"),
        (TWO, "top nodes", "top node --v=0"),
        (SPACES, "get ns", "get --v=0 --namespace=prod -- ns"),
        (TWO, "get certificates -n dev", "get --v=0 --namespace=dev -- certificates"),
        (TWO, "get all -n dev", "get --v=0 --namespace=dev -- all"),
        (TWO, "get --raw /readyz -n dev", "get --v=0 --namespace=dev --raw=/readyz"),
        ('namespaces = ["kube-system"]', "cluster-info", "cluster-info --v=0"),
    ],
)
def test_an_allowed_namespace_is_always_written(policy: str, line: str, expected: str) -> None:
    assert runs(policy, line) == expected


@pytest.mark.parametrize(
    ("policy", "line", "words"),
    [
        (ONE, "get pods -A", "use -n with prod"),
        (TWO, "events --all-namespaces", "use -n with prod or dev"),
        (ONE, "get pods -n dev", "namespace dev is not allowed"),
        (TWO, "get pods", "-n is missing; this agent reads prod or dev"),
        (TWO, "get nodes,pods", "-n is missing; this agent reads prod or dev"),
        (TWO, "events --for=node/n1", "-n is missing; this agent reads prod or dev"),
        (TWO, "events", "-n is missing; this agent reads prod or dev"),
        (ONE, "get nodes", "cluster_types"),
        (ONE, "get certificates", "namespaced_types"),
        (ONE, "get all", "namespaced_types"),
        (ONE, "get roles.example.com", "not known to live in a namespace"),
        (ONE, "get deploy.ap", "not known to live in a namespace"),
        (ONE, "get pods,pv", "pv is not known to live in a namespace"),
        (ONE, "top nodes", "nodes is not known to live"),
        (ONE, "events --for=node/n1", "its policy file can name it under cluster_types"),
        (ONE, "get --raw /livez", "/livez"),
        (TWO, "get --raw /livez -n dev", "/livez"),
        (TWO, "describe node n1 -n dev", "use get node"),
        (SPACES, "describe ns prod", "use get ns"),
        (ONE, "cluster-info", "kube-system"),
        (ONE, "auth can-i --list -A", "use -n with prod"),
        (ONE, "logs web-0 -n dev", "dev is not allowed"),
    ],
)
def test_nothing_else_is_read(policy: str, line: str, words: str) -> None:
    found = refused(policy, line)
    assert found.rule == "policy"
    assert words in found.sentence


def test_limits_are_handed_on() -> None:
    policy = parse_policy("max_output_bytes = 1024\nmax_timeout_seconds = 2.5")
    assert (policy.max_output_bytes, policy.max_timeout_seconds) == (1024, 2.5)
    assert parse_policy("max_timeout_seconds = 3").max_timeout_seconds == 3.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("verbs = [", "not valid TOML"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ("flags = []", "flags is not a key of a policy file; it knows verbs, types"),
        ('verbs = "get"', "verbs must be a list"),
        ("verbs = []", "verbs must be a list of at least one"),
        ("verbs = [1]", "verbs must be a list"),
        ('verbs = ["get", "delete"]', '"delete" can\'t be allowed, a policy file only narrows'),
        ('types = ["secrets"]', '"secrets" is never read'),
        ('types = ["Secret.v1."]', "is never read"),
        ('types = ["a/b"]', "is not a resource type"),
        ('denied_types = ["secrets"]', "is never read"),
        ('namespaces = ["Prod"]', '"Prod" is not the name of one namespace'),
        ('namespaces = ["*"]', '"*" is not the name'),
        ('cluster_types = ["nodes"]', "only makes sense with namespaces"),
        ('namespaced_types = ["certificates"]', "only makes sense with namespaces"),
        ('namespaces = ["a"]\nnamespaced_types = ["nodes"]', '"nodes" lives in no namespace'),
        ('namespaces = ["a"]\nnamespaced_types = ["pods", "no"]', '"no" lives in no namespace'),
        ('namespaces = ["a"]\ncluster_types = ["pods"]', '"pods" lives in namespaces'),
        ('namespaces = ["a"]\ncluster_types = ["podmetrics"]', '"podmetrics" lives in namespaces'),
        ('namespaces = ["a"]\ncluster_types = ["/metrics"]', "is not /livez"),
        ('namespaces = ["a"]\ncluster_types = ["secrets"]', "is never read"),
        ("max_output_bytes = 0", "a whole number of bytes"),
        ("max_output_bytes = 1.5", "a whole number of bytes"),
        ("max_output_bytes = true", "a whole number of bytes"),
        ("max_timeout_seconds = 0", "a number of seconds above 0"),
        ("max_timeout_seconds = inf", "a number of seconds above 0"),
        ("max_timeout_seconds = nan", "a number of seconds above 0"),
        ("max_timeout_seconds = true", "a number of seconds above 0"),
        ('max_timeout_seconds = "5"', "a number of seconds above 0"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, words: str) -> None:
    with pytest.raises(PolicyError) as mistake:
        parse_policy(text)
    assert words in str(mistake.value)


def test_a_narrowed_policy_is_explained() -> None:
    text = """verbs = ["get", "top"]
denied_types = ["cm"]
namespaces = ["prod", "dev"]
cluster_types = ["no"]
max_output_bytes = 10
max_timeout_seconds = 2.5
"""
    said = explain(parse_policy(text))
    assert "kubectl get" in said
    assert "kubectl logs" not in said
    assert said.split("narrowed by the policy file\n")[1].split("\n\n")[0].splitlines() == [
        "    verbs: get, top pod, top node",
        "    denied_types: configmaps",
        "    namespaces: prod, dev",
        "    cluster_types: nodes",
        "    max_output_bytes: 10",
        "    max_timeout_seconds: 2.5",
    ]


def test_the_default_narrows_nothing() -> None:
    assert Policy() == DEFAULT_POLICY
    assert "not narrowed by a policy file" in explain(DEFAULT_POLICY)
