"""What each component adds, and how overlays build on it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from agent import __version__
from agent.guard import Refused, decide, parse_policy
from tests.kustomize.builds import OVERLAYS, ROOT, Manifest, agent, build, of_kind, overlay, the

MERGED = """
configMapGenerator:
  - name: kubently-agent
    behavior: merge
    literals:
      - {setting}
"""


def environment(manifests: list[Manifest]) -> dict[str, str]:
    """What the agent's process gets: the ConfigMap's settings, and the container's own over them."""
    container = agent(manifests)
    settings: dict[str, str] = {}
    for source in container["envFrom"]:
        name = source["configMapRef"]["name"]
        (found,) = [each for each in of_kind(manifests, "ConfigMap") if each["metadata"]["name"] == name]
        settings |= found["data"]
    return settings | {variable["name"]: variable["value"] for variable in container["env"]}


def volume(manifests: list[Manifest], name: str) -> Manifest:
    volumes = the(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    (found,) = [each for each in volumes if each["name"] == name]
    return dict(found)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_names_its_cluster_in_two_values(name: str) -> None:
    base, example = (environment(build(folder)) for folder in (ROOT / "base", ROOT / "overlays" / name))
    assert set(example) - set(base) - {"KUBENTLY_POLICY_FILE"} == {"KUBENTLY_API_URL", "CLUSTER_ID"}
    assert base.items() <= example.items()


def test_the_policy_of_the_locked_down_overlay_is_one(tmp_path: Path) -> None:
    manifests = build(ROOT / "overlays/locked-down")
    (policy,) = [each for each in of_kind(manifests, "ConfigMap") if "policy.toml" in each["data"]]
    assert volume(manifests, "policy")["configMap"]["name"] == policy["metadata"]["name"]
    parsed = parse_policy(policy["data"]["policy.toml"])
    assert parsed.namespaces == (policy["metadata"]["namespace"],)
    with pytest.raises(Refused):
        decide(["get", "configmaps", "-n", "payments"], parsed)


def test_a_changed_setting_rolls_the_pod(tmp_path: Path) -> None:
    pods = []
    for level in ("DEBUG", "WARNING"):
        manifests = build(overlay(tmp_path, more=MERGED.format(setting=f"LOG_LEVEL={level}")))
        assert environment(manifests)["LOG_LEVEL"] == level
        pods.append(the(manifests, "Deployment")["spec"]["template"])
    assert pods[0] != pods[1]


POLICY = """
configMapGenerator:
  - name: kubently-policy
    files: [policy.toml]
    options: {disableNameSuffixHash: true}
"""


def test_a_changed_policy_does_not_roll_the_pod(tmp_path: Path) -> None:
    pods = []
    for text in ("# one", "# other"):
        (tmp_path / "policy.toml").write_text(text)
        manifests = build(overlay(tmp_path, components=["policy"], more=POLICY))
        (policy,) = [each for each in of_kind(manifests, "ConfigMap") if "policy.toml" in each["data"]]
        assert volume(manifests, "policy")["configMap"] == {"name": policy["metadata"]["name"]}
        assert policy["data"]["policy.toml"] == text
        pods.append(the(manifests, "Deployment")["spec"]["template"])
    assert pods[0] == pods[1]
    assert environment(manifests)["KUBENTLY_POLICY_FILE"] == "/etc/kubently/policy/policy.toml"


def test_persistent_spool_claims_a_volume_and_leaves_no_empty_dir_for_it(tmp_path: Path) -> None:
    manifests = build(overlay(tmp_path, components=["persistent-spool"]))
    claim = the(manifests, "PersistentVolumeClaim")["metadata"]["name"]
    assert volume(manifests, "spool") == {"name": "spool", "persistentVolumeClaim": {"claimName": claim}}


def test_an_existing_namespace_is_left_alone_and_the_rights_are_not(tmp_path: Path) -> None:
    manifests = build(overlay(tmp_path, components=["existing-namespace"], namespace="monitoring"))
    assert of_kind(manifests, "Namespace") == []
    assert len(of_kind(manifests, "ClusterRoleBinding")) == 2


@pytest.mark.parametrize(
    ("component", "settings", "source"),
    [
        (
            "custom-ca",
            {"KUBENTLY_CA_CERT": "/etc/kubently/ca/ca.crt"},
            {"configMap": {"name": "kubently-ca"}},
        ),
        (
            "client-certificate",
            {
                "KUBENTLY_CLIENT_CERT": "/etc/kubently/client-certificate/tls.crt",
                "KUBENTLY_CLIENT_KEY": "/etc/kubently/client-certificate/tls.key",
            },
            {"secret": {"secretName": "kubently-client-certificate", "defaultMode": 0o440}},
        ),
    ],
)
def test_certificates_come_from_objects_that_the_cluster_holds(
    component: str, settings: dict[str, str], source: Manifest, tmp_path: Path
) -> None:
    manifests = build(overlay(tmp_path, components=[component]))
    assert settings.items() <= environment(manifests).items()
    name = component.removeprefix("custom-")
    assert volume(manifests, name) == {"name": name, **source}


def test_a_pull_secret_is_asked_for_by_name(tmp_path: Path) -> None:
    spec = the(build(overlay(tmp_path, components=["pull-secret"])), "Deployment")["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "kubently-pull"}]


def test_roomy_has_a_core_and_the_base_a_fifth(tmp_path: Path) -> None:
    resources = [agent(build(overlay(tmp_path, components=names)))["resources"] for names in ([], ["roomy"])]
    assert [each["limits"]["cpu"] for each in resources] == ["200m", "1"]
    assert resources[0]["requests"] == resources[1]["requests"]
    assert resources[0]["limits"]["memory"] == resources[1]["limits"]["memory"]


def test_openshift_chooses_the_user_and_the_rest_stays(tmp_path: Path) -> None:
    contexts = [
        the(build(overlay(tmp_path, components=names)), "Deployment")["spec"]["template"]["spec"]["securityContext"]
        for names in ([], ["openshift"])
    ]
    assert set(contexts[0]) - set(contexts[1]) == {"runAsUser", "runAsGroup", "fsGroup"}
    assert contexts[1].items() <= contexts[0].items()


def test_the_proxy_comes_after_the_settings_and_from_a_secret(tmp_path: Path) -> None:
    sources = agent(build(overlay(tmp_path, components=["proxy"])))["envFrom"]
    assert [next(iter(source)) for source in sources] == ["configMapRef", "secretRef"]
    assert sources[1] == {"secretRef": {"name": "kubently-proxy"}}


def test_a_second_agent_in_one_cluster_needs_a_suffix_alone(tmp_path: Path) -> None:
    manifests = build(overlay(tmp_path, namespace="second", more="nameSuffix: -second\n"))
    for manifest in of_kind(manifests, "ClusterRole", "ClusterRoleBinding"):
        assert manifest["metadata"]["name"].endswith("-second")
    account = the(manifests, "ServiceAccount")["metadata"]["name"]
    roles = set()
    for binding in of_kind(manifests, "ClusterRoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "second"}]
        roles.add(binding["roleRef"]["name"])
    assert roles == {"view", "kubently-agent-second"}


def test_the_network_policy_lets_out_dns_and_tls_only(tmp_path: Path) -> None:
    policy = the(build(overlay(tmp_path, components=["network-policy"])), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"port": "http"}]}]
    dns, server, api = policy["egress"]
    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {
        (port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")
    }
    assert {port["port"] for port in server["ports"]} == {443, 6443}
    assert {port["port"] for port in api["ports"]} == {443}
    addresses = {peer["ipBlock"]["cidr"] for peer in dns["to"] if "ipBlock" in peer}
    assert addresses == {"169.254.20.10/32", "169.254.169.254/32"}  # NodeLocal DNSCache; GKE's Cloud DNS
    labels = [peer["podSelector"]["matchLabels"] for peer in dns["to"] if "podSelector" in peer]
    assert labels == [{"k8s-app": "kube-dns"}, {"dns.operator.openshift.io/daemonset-dns": "default"}]
    for rule in (server, api):
        for peer in rule["to"]:
            assert peer["ipBlock"]["except"]  # the cloud's metadata service hands out the node's credentials


def snippet(begin: str) -> str:
    """The block of docs/deploying.md that begins so, for an overlay."""
    text = (ROOT.parent / "docs/deploying.md").read_text()
    (found,) = [block.split("```")[0] for block in text.split("```yaml\n") if block.startswith(begin)]
    return found


def test_docs_show_an_overlay_of_a_remote_base(tmp_path: Path) -> None:
    text = snippet("resources:")
    (address,) = set(re.findall(r"https://\S+?(?=//kustomize)", text))
    repository, folder = tmp_path / "repository", tmp_path / "overlay"
    shutil.copytree(ROOT, repository / "kustomize")
    user = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    for line in (("init",), ("add", "."), (*user, "commit", "-m", "x"), ("tag", f"v{__version__}")):
        subprocess.run(["git", "-C", repository, *line], check=True, capture_output=True)
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(f"namespace: kubently\n{text}")
    # git takes the copy in the address's place: nothing is asked of any server.
    here = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }
    assert build(folder, environ=here) == build(overlay(tmp_path, components=["persistent-spool"]))


def test_docs_show_where_alerts_lead(tmp_path: Path) -> None:
    manifests = build(overlay(tmp_path, components=["prometheus"], more=snippet("configMapGenerator:")))
    rules = [rule for group in the(manifests, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
    before = yaml.safe_load((ROOT / "components/prometheus/alerts.yaml").read_text())["spec"]["groups"][0]["rules"]
    for rule, old in zip(rules, before, strict=True):
        address, _, section = rule["annotations"]["runbook_url"].partition("#")
        assert address.startswith("https://github.com/")
        assert address.endswith(f"/v{__version__}/docs/incident.md")
        assert section == old["annotations"]["runbook_url"].partition("#")[2]
    assert not [each for each in of_kind(manifests, "ConfigMap") if each["metadata"]["name"].startswith("guide")]


def test_the_policy_for_those_who_come_from_kubently_denies_what_its_chart_denied() -> None:
    policy = parse_policy((ROOT / "components/policy/like-kubently.toml").read_text())
    for line in ("get configmaps -n shop", "describe cm settings -n shop", "get secrets", "auth whoami"):
        with pytest.raises(Refused):
            decide(line.split(), policy)
    assert decide(["get", "pods", "-A"], policy)


def test_docs_show_how_to_narrow_the_network_policy(tmp_path: Path) -> None:
    manifests = build(overlay(tmp_path, components=["network-policy"], more=snippet("patches:")))
    narrowed = the(manifests, "NetworkPolicy")["spec"]
    for rule in narrowed["egress"][1:]:
        (peer,) = rule["to"]
        assert peer["ipBlock"]["cidr"].endswith("/32")


def test_prometheus_asks_the_port_that_the_agent_serves(tmp_path: Path) -> None:
    manifests = build(overlay(tmp_path, components=["prometheus", "scrape-annotations"]))
    (endpoint,) = the(manifests, "PodMonitor")["spec"]["podMetricsEndpoints"]
    (port,) = agent(manifests)["ports"]
    assert endpoint["port"] == port["name"]
    annotations = the(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    assert annotations["prometheus.io/path"] == endpoint["path"] == "/metrics"


def test_docs_name_every_component() -> None:
    text = (ROOT.parent / "docs/deploying.md").read_text()
    for path in sorted((ROOT / "components").iterdir()):
        assert f"`{path.name}`" in text, path.name
