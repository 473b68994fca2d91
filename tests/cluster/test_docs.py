"""The commands of README and docs/deploying.md as they are written there, from a copy of the manifests."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import workload
from tests.cluster.controlplane import Cluster, wait_for
from tests.kustomize.builds import ROOT, overlay

NAMESPACE = "kubently"
"""The one of the documents."""


def blocks(file: str) -> list[list[str]]:
    """The commands of each console block, each on one line and without its comment."""
    text = (ROOT.parent / file).read_text().replace("\\\n", " ")
    found = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [[line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")] for block in found]


def block(file: str, words: str) -> list[str]:
    """The only block with a command that has these words in it."""
    (found,) = [block for block in blocks(file) if any(words in command for command in block)]
    return found


class Shell:
    """Runs such commands in a folder that has a copy of the manifests. A complaint of one fails the test."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self.folder = folder
        shutil.copytree(ROOT, folder / "kustomize")
        for name in ("token", "new-token"):
            (folder / name).write_text(f"a {name}\n")

    def __call__(self, command: str) -> str:
        printed = ""
        for part in command.split(" | "):
            words = [self._here(word) for word in shlex.split(part, comments=True)]
            if words[0] == "kubectl":
                done = self._cluster.kubectl(*words[1:], stdin=printed)
                assert done.stderr == "", command
                printed = done.stdout
            elif words[0] == "editor":
                edited = {"KUBENTLY_API_URL": "https://api.test", "CLUSTER_ID": "mine"}
                Path(words[1]).write_text("".join(f"{name}={value}\n" for name, value in edited.items()))
            else:
                subprocess.run(words, check=True, cwd=self.folder)
        return printed

    def _here(self, word: str) -> str:
        """A path of the documents, as it is in the folder."""
        return re.sub(r"(^|=)(/path/to/|(?=kustomize/))", rf"\1{self.folder}/", word)


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Iterator[Shell]:
    yield Shell(cluster, tmp_path)
    cluster.kubectl("delete", "ns", NAMESPACE, "--ignore-not-found", "--wait=false")
    # There is no kubelet to say that a pod has ended.
    cluster.kubectl("delete", "pods", "--all", "-n", NAMESPACE, "--force", "--grace-period=0", check=False)
    wait_for("the namespace's end", lambda: cluster.kubectl("get", "ns", NAMESPACE, check=False).returncode != 0)


def test_from_nothing_to_a_green_pod_and_back(cluster: Cluster, shell: Shell) -> None:
    *before, rollout = block("README.md", "rollout status")
    assert len(before) == 4
    for command in before:
        shell(command)
    wait_for("the pod", lambda: cluster.get("pods", "-n", NAMESPACE)["items"])
    (pod,) = cluster.get("pods", "-n", NAMESPACE)["items"]
    workload.run(cluster, pod)
    assert "successfully rolled out" in shell(rollout)
    settings = pod["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    assert cluster.get("configmap", settings, "-n", NAMESPACE)["data"]["CLUSTER_ID"] == "mine"

    token = ("secret", "kubently-token", "-n", NAMESPACE)
    old = cluster.get(*token)["data"]
    (rotate,) = block("docs/incident.md", "new-token")
    assert "replaced" in shell(rotate)
    assert cluster.get(*token)["data"] != old

    (remove,) = block("docs/deploying.md", "delete -k")
    shell(f"{remove} --wait=false")


def test_what_is_left_in_an_existing_namespace_is_removed_by_two_commands(cluster: Cluster, shell: Shell) -> None:
    cluster.apply(
        workload.manifest("v1", "Namespace", NAMESPACE),
        workload.manifest("v1", "ConfigMap", "of-somebody-else", NAMESPACE),
    )
    for level in ("INFO", "DEBUG"):
        more = f"configMapGenerator: [{{name: kubently-agent, behavior: merge, literals: [LOG_LEVEL={level}]}}]\n"
        (folder := shell.folder / "existing").mkdir(exist_ok=True)
        cluster.kubectl("apply", "-k", overlay(folder, components=["existing-namespace"], more=more))
    (create,) = [command for command in block("README.md", "rollout status") if "create secret" in command]
    shell(create)
    assert "pod-security.kubernetes.io/enforce" not in cluster.get("ns", NAMESPACE)["metadata"]["labels"]
    cluster.kubectl("delete", "-k", folder, "--wait=false")
    assert {"kubently-token"} < {found["metadata"]["name"] for found in left(cluster)}
    for command in block("docs/deploying.md", "delete secret"):
        shell(command)
    assert {found["metadata"]["name"] for found in left(cluster)} == {"of-somebody-else", "kube-root-ca.crt"}


def test_a_custom_resource_is_added_to_what_may_be_read(cluster: Cluster, account: Path, shell: Shell) -> None:
    def readable() -> bool:
        return cluster.kubectl("get", "gadgets", "-A", kubeconfig=account, check=False).returncode == 0

    assert not readable()
    for command in block("docs/deploying.md", "gadgets-view"):
        shell(command)
    wait_for("the role `view` to have it", readable)
    cluster.kubectl("delete", "clusterrole", "gadgets-view")
    wait_for("the role `view` as it was", lambda: not readable())


def left(cluster: Cluster) -> list[workload.Manifest]:
    return list(cluster.get("secrets,configmaps", "-n", NAMESPACE)["items"])
