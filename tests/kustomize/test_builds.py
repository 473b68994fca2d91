"""Every base, component and overlay, as kubectl builds it: what must hold in all of them."""

from pathlib import Path
from typing import Any

import pytest

from agent import __version__
from agent.config import SETTINGS
from tests.kustomize.builds import (
    CLUSTER_SCOPED,
    COMPONENTS,
    OVERLAYS,
    ROOT,
    Manifest,
    build,
    of_kind,
    overlay,
    the,
)

DEFAULTS = {setting.name: setting.default or "" for setting in SETTINGS.values()}
AGENT_BYTES, KUBECTL_BYTES = 48_000_000, 46_000_000
"""The most that each takes, measured with a 200 MB output passing and with a large `get`."""

REPAIR_SECONDS = 46.5
"""What bringing over a damaged spool of 213 MB in 90,000 results took at the manifest's share of the processor."""

NAME = {"app.kubernetes.io/name": "kubently-agent"}
TOGETHER = [name for name in COMPONENTS if name not in {"namespace-scoped", "wide-read"}]
VARIANTS = {
    "base": (),
    **{name: (name,) for name in COMPONENTS},
    "all-together": tuple(TOGETHER),
    "namespace-scoped-with-all": ("namespace-scoped", *TOGETHER),
}


@pytest.fixture(scope="module", params=[*VARIANTS, *(f"overlays/{name}" for name in OVERLAYS)])
def manifests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """Each in turn; the components in a namespace of their own choice."""
    name = request.param
    if name.startswith("overlays/"):
        return build(ROOT / name)
    if name == "base":
        return build(ROOT / "base")
    return build(overlay(tmp_path_factory.mktemp("overlay"), components=VARIANTS[name], namespace="elsewhere"))


def quantity(text: str) -> int:
    """Bytes, from Kubernetes' spelling, which is also the agent's."""
    units = {"Mi": 2**20, "Gi": 2**30}
    return int(text[:-2]) * units[text[-2:]] if text[-2:] in units else int(text)


def pod(manifests: list[Manifest]) -> Any:
    return the(manifests, "Deployment")["spec"]["template"]


def test_everything_is_in_one_namespace_and_every_subject_follows_it(manifests: list[Manifest]) -> None:
    account = the(manifests, "ServiceAccount")["metadata"]
    for manifest in manifests:
        if manifest["kind"] not in CLUSTER_SCOPED:
            assert manifest["metadata"]["namespace"] == account["namespace"], manifest["metadata"]["name"]
    for namespace in of_kind(manifests, "Namespace"):
        assert namespace["metadata"]["name"] == account["namespace"]
    bindings = of_kind(manifests, "ClusterRoleBinding", "RoleBinding")
    assert bindings
    for binding in bindings:
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]


def test_the_namespace_admits_restricted_pods_only(manifests: list[Manifest]) -> None:
    for namespace in of_kind(manifests, "Namespace"):
        for mode in ("enforce", "warn", "audit"):
            assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_selectors_hold_the_name_alone_and_match_the_pod(manifests: list[Manifest]) -> None:
    deployment = the(manifests, "Deployment")
    assert deployment["spec"]["selector"] == {"matchLabels": NAME}
    for other in of_kind(manifests, "PodMonitor"):
        assert other["spec"]["selector"] == {"matchLabels": NAME}
    for other in of_kind(manifests, "NetworkPolicy"):
        assert other["spec"]["podSelector"] == {"matchLabels": NAME}
    assert NAME.items() <= pod(manifests)["metadata"]["labels"].items()


def test_everything_is_labelled(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "kubently-agent", manifest
        assert labels["app.kubernetes.io/part-of"] == "kubently", manifest


def test_pod_and_containers_are_hardened(manifests: list[Manifest]) -> None:
    spec = pod(manifests)["spec"]
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    if "runAsUser" in context:  # but where the platform chooses one
        assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for field in ("hostNetwork", "hostPID", "hostIPC", "initContainers"):
        assert field not in spec
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        for bounds in ("requests", "limits"):
            assert set(container["resources"][bounds]) >= {"cpu", "memory"}


def test_only_the_agents_pod_gets_the_accounts_token(manifests: list[Manifest]) -> None:
    assert the(manifests, "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod(manifests)["spec"]["automountServiceAccountToken"] is True


def test_no_secret_is_built_and_the_token_is_a_file(manifests: list[Manifest]) -> None:
    assert of_kind(manifests, "Secret") == []
    (container,) = pod(manifests)["spec"]["containers"]
    settings = {variable["name"]: variable["value"] for variable in container["env"]}
    assert "KUBENTLY_TOKEN" not in settings
    assert settings["KUBENTLY_TOKEN_FILE"] == "/var/run/secrets/kubently/token"


def test_every_volume_is_mounted_and_every_path_in_the_environment_is_on_one(
    manifests: list[Manifest],
) -> None:
    spec = pod(manifests)["spec"]
    (container,) = spec["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in spec["volumes"]}
    paths = [variable["value"] for variable in container["env"] if variable["value"].startswith("/")]
    paths.append(DEFAULTS["KUBENTLY_SPOOL_PATH"])
    for path in paths:
        assert any(Path(path).is_relative_to(mount["mountPath"]) for mount in mounts.values()), path
    for volume in spec["volumes"]:
        writable = "emptyDir" in volume or "persistentVolumeClaim" in volume
        assert mounts[volume["name"]].get("readOnly", False) is not writable
        assert "subPath" not in mounts[volume["name"]]  # such a mount never follows its Secret or ConfigMap


def test_two_agents_never_meet_over_one_spool(manifests: list[Manifest]) -> None:
    spec = the(manifests, "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_a_lost_node_leaves_the_cluster_without_an_agent_for_half_a_minute(manifests: list[Manifest]) -> None:
    tolerated = {each["key"]: each for each in pod(manifests)["spec"]["tolerations"]}
    assert set(tolerated) == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    for each in tolerated.values():
        assert (each["operator"], each["effect"], each["tolerationSeconds"]) == ("Exists", "NoExecute", 30)


def test_probes_are_answered_by_the_agent_itself(manifests: list[Manifest]) -> None:
    (container,) = pod(manifests)["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert asked == {
        "startup": {"path": "/livez", "port": "http"},
        "liveness": {"path": "/livez", "port": "http"},
        "readiness": {"path": "/readyz", "port": "http"},
    }


def test_the_limits_fit_the_agents_own(manifests: list[Manifest]) -> None:
    spec = pod(manifests)["spec"]
    (container,) = spec["containers"]
    assert spec["terminationGracePeriodSeconds"] >= float(DEFAULTS["KUBENTLY_DRAIN_SECONDS"]) + 10
    spool = quantity(DEFAULTS["KUBENTLY_SPOOL_MAX_BYTES"])
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    for volume in spec["volumes"]:
        if volume["name"] == "spool" and "emptyDir" in volume:
            # A damaged file is kept beside the one that it is brought over into.
            assert quantity(volume["emptyDir"]["sizeLimit"]) >= 3 * spool
            assert quantity(requests["ephemeral-storage"]) > spool
    assert "ephemeral-storage" not in limits  # the kubelet's answer to it is eviction
    most = AGENT_BYTES + int(DEFAULTS["KUBENTLY_EXECUTORS"]) * KUBECTL_BYTES
    assert quantity(limits["memory"]) >= most


def test_a_start_that_repairs_the_spool_is_not_cut_short(manifests: list[Manifest]) -> None:
    (container,) = pod(manifests)["spec"]["containers"]
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 5 * REPAIR_SECONDS


def test_an_autoscaler_keeps_the_node_of_an_empty_dir_spool_and_of_no_other(manifests: list[Manifest]) -> None:
    safe = pod(manifests)["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"]
    local = {volume["name"] for volume in pod(manifests)["spec"]["volumes"] if "emptyDir" in volume}
    assert local - set(safe.split(",")) == local & {"spool"}


def test_the_probes_ask_where_the_agent_listens(manifests: list[Manifest]) -> None:
    (container,) = pod(manifests)["spec"]["containers"]
    assert DEFAULTS["KUBENTLY_HEALTH_ADDRESS"] == f"0.0.0.0:{container['ports'][0]['containerPort']}"


def test_the_image_is_of_this_version(manifests: list[Manifest]) -> None:
    (container,) = pod(manifests)["spec"]["containers"]
    host, _, rest = container["image"].partition("/")
    assert rest == f"kubently-agent:{__version__}"
    assert host in {"set-the-image.invalid", "registry.example.com"}  # nobody can have these (RFC 6761, RFC 2606)
    assert pod(manifests)["metadata"]["labels"]["app.kubernetes.io/version"] == __version__
