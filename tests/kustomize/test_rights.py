"""What the manifests grant. The server's own view of it is in tests/cluster."""

from pathlib import Path

import pytest

from tests.kustomize.builds import CLUSTER_SCOPED, COMPONENTS, ROOT, Manifest, build, of_kind, overlay, the

READING = {"get", "list", "watch"}
NEVER = {"secrets", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/portforward"}
"""Resources that hand out credentials or run something, some of them with `get` alone."""


def rules_without_wildcards(manifests: list[Manifest]) -> list[Manifest]:
    return [rule for role in of_kind(manifests, "ClusterRole", "Role") for rule in role.get("rules", [])]


@pytest.mark.parametrize("component", ["none", *(name for name in COMPONENTS if name != "wide-read")])
def test_nothing_but_reading_is_granted(component: str, tmp_path: Path) -> None:
    manifests = build(overlay(tmp_path, components=[] if component == "none" else [component]))
    for rule in rules_without_wildcards(manifests):
        assert set(rule["verbs"]) <= READING, rule
        assert "nonResourceURLs" not in rule
        for resource in rule["resources"]:
            assert "*" not in resource
            assert resource not in NEVER
            assert not resource.endswith("/proxy")
        assert "*" not in rule["apiGroups"]
    own = {role["metadata"]["name"] for role in of_kind(manifests, "ClusterRole", "Role")}
    for binding in of_kind(manifests, "ClusterRoleBinding", "RoleBinding"):
        assert binding["roleRef"]["name"] in {"view", *own}


def test_no_resource_is_granted_twice() -> None:
    rules = rules_without_wildcards(build(ROOT / "base"))
    granted = [(group, resource) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]]
    assert len(granted) == len(set(granted))


def test_namespace_scoped_makes_nothing_that_belongs_to_the_cluster(tmp_path: Path) -> None:
    manifests = build(overlay(tmp_path, components=["namespace-scoped"], namespace="elsewhere"))
    assert of_kind(manifests, *CLUSTER_SCOPED) == []
    assert the(manifests, "RoleBinding")["roleRef"]["name"] == "view"


def test_wide_read_still_grants_no_writing_verb(tmp_path: Path) -> None:
    manifests = build(overlay(tmp_path, components=["wide-read"]))
    for rule in rules_without_wildcards(manifests):
        assert set(rule["verbs"]) <= READING
    assert "DANGER" in (ROOT / "components/wide-read/kustomization.yaml").read_text()
