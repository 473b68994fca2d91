"""What is prepared once at the start, and the sentence for each thing that is missing."""

import json
import os
from pathlib import Path

import pytest

from agent.errors import KubectlError
from agent.kubectl.environment import LEAST_BYTES, MIB, MOST_BYTES, Environment, data_limit

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("secret-token")
    (folder / "ca.crt").write_text("certificate")
    (folder / "namespace").write_text("kubently")
    return folder


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "kubectl"
    file.touch(mode=0o755)
    return file


def prepare(tmp_path: Path, account: Path, environ: dict[str, str] | None = None, kubectl: str = "") -> Environment:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent.kubectl.environment.SERVICE_ACCOUNT", account)
        patch.setattr(os, "environ", POD if environ is None else environ)
        return Environment.prepare(kubectl or str(tmp_path / "kubectl"), None, tmp_path / "home")


def test_the_kubeconfig_of_a_pod(tmp_path: Path, account: Path, program: Path) -> None:
    made = prepare(tmp_path, account)
    file = tmp_path / "home" / "kubeconfig"
    assert made.flags == (f"--kubeconfig={file}", "--context=cluster")
    config = json.loads(file.read_text())
    assert config["clusters"][0]["cluster"] == {
        "server": "https://10.0.0.1:443",
        "certificate-authority": str(account / "ca.crt"),
    }
    assert config["users"][0]["user"] == {"tokenFile": str(account / "token")}
    assert config["contexts"][0]["context"]["namespace"] == "default"


def test_the_token_itself_is_written_nowhere(tmp_path: Path, account: Path, program: Path) -> None:
    prepare(tmp_path, account)
    for file in (tmp_path / "home").rglob("*"):
        assert file.is_dir() or "secret-token" not in file.read_text()


def test_ipv6_in_brackets(tmp_path: Path, account: Path, program: Path) -> None:
    prepare(tmp_path, account, {**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert '"https://[fd00::1]:443"' in (tmp_path / "home" / "kubeconfig").read_text()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        {"KUBERNETES_SERVICE_PORT": "443"},
    ],
)
def test_outside_a_pod(tmp_path: Path, account: Path, program: Path, environ: dict[str, str]) -> None:
    with pytest.raises(KubectlError, match=r"isn't a pod .* Name a kubeconfig with KUBENTLY_KUBECONFIG"):
        prepare(tmp_path, account, environ)


@pytest.mark.parametrize("name", ["token", "ca.crt"])
def test_a_service_account_that_is_not_mounted(tmp_path: Path, account: Path, program: Path, name: str) -> None:
    (account / name).unlink()
    with pytest.raises(KubectlError, match=f"{name}: No such file or directory.*automountServiceAccountToken"):
        prepare(tmp_path, account)


def test_a_service_account_that_cannot_be_read(tmp_path: Path, account: Path, program: Path) -> None:
    """A folder stands for what may not be read: tests may run as root, who may read everything."""
    (account / "token").unlink()
    (account / "token").mkdir()
    with pytest.raises(KubectlError, match=r"token: Is a directory"):
        prepare(tmp_path, account)


def test_kubectl_is_found_in_path_once_and_absolutely(
    tmp_path: Path, account: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert prepare(tmp_path, account, {**POD, "PATH": "."}, "kubectl").program == program
    assert prepare(tmp_path, account, POD, "./kubectl").program == program


def test_kubectl_in_no_folder_of_path(tmp_path: Path, account: Path) -> None:
    with pytest.raises(KubectlError, match=r"No 'kubectl' in PATH. Install kubectl, or .* KUBENTLY_KUBECTL"):
        prepare(tmp_path, account, {**POD, "PATH": str(tmp_path)}, "kubectl")


def test_kubectl_named_by_a_file_that_is_not_there(tmp_path: Path, account: Path) -> None:
    with pytest.raises(
        KubectlError, match=r"There is no file .*/kubectl that may be executed. Correct KUBENTLY_KUBECTL"
    ):
        prepare(tmp_path, account)


def test_kubectl_that_is_not_executable(tmp_path: Path, account: Path, program: Path) -> None:
    program.chmod(0o644)
    with pytest.raises(
        KubectlError, match=r"There is no file .*/kubectl that may be executed. Correct KUBENTLY_KUBECTL or its mode"
    ):
        prepare(tmp_path, account)


def test_a_home_that_is_a_file(tmp_path: Path, account: Path, program: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(KubectlError, match="home can't be set up: File exists"):
        prepare(tmp_path, account)


def test_a_home_with_something_in_the_empty_folder(tmp_path: Path, account: Path, program: Path) -> None:
    (tmp_path / "home" / "empty").mkdir(parents=True)
    (tmp_path / "home" / "empty" / "kubectl-evil").touch()
    with pytest.raises(KubectlError, match=r"empty/kubectl-evil .* Remove it"):
        prepare(tmp_path, account)


def test_a_kubeconfig_that_cannot_be_written(tmp_path: Path, account: Path, program: Path) -> None:
    (tmp_path / "home" / "kubeconfig" / "x").mkdir(parents=True)
    with pytest.raises(KubectlError, match=r"can't be set up: Is a directory: .*/kubeconfig"):
        prepare(tmp_path, account)


def test_what_an_earlier_agent_left_is_replaced(tmp_path: Path, account: Path, program: Path) -> None:
    prepare(tmp_path, account)
    (tmp_path / "home" / "kubeconfig").write_text("an attacker's")
    (tmp_path / "home" / "kubeconfig.new").symlink_to(account / "token")
    prepare(tmp_path, account)
    assert "10.0.0.1" in (tmp_path / "home" / "kubeconfig").read_text()
    assert (account / "token").read_text() == "secret-token"


def test_a_home_of_ours_alone(tmp_path: Path, account: Path, program: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    prepare(tmp_path, account)
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert os.access(tmp_path / "home" / "cache", os.W_OK)


@pytest.mark.parametrize(
    ("limit", "share"),
    [
        (f"{256 * MIB}\n", 192 * MIB),
        (f"{100 * MIB}\n", LEAST_BYTES),
        (f"{64 << 30}\n", MOST_BYTES),
        ("max\n", MOST_BYTES),
    ],
)
def test_what_the_containers_limit_leaves_beside_the_agent(
    tmp_path: Path, limit: str, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = (tmp_path / "absent", tmp_path / "memory.max")
    monkeypatch.setattr("agent.kubectl.environment.CONTAINER_FILES", files)
    assert data_limit() == MOST_BYTES  # no container
    files[1].write_text(limit)
    assert data_limit() == share
