"""kubectl, the cluster and the rights in it: with a stand-in for what goes wrong, and with the real kubectl."""

import shutil
from pathlib import Path

import pytest

from agent.check import Finding, Mark
from agent.check.cluster import own_namespace
from agent.cli.check import check_everything
from demo.api import reference_api
from demo.cluster.api import sample_cluster
from tests.whole.cli import stand_in

KUBECTL = shutil.which("kubectl", path=str(Path(__file__).parents[3] / ".venv" / "bin")) or shutil.which("kubectl")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "kubeconfig").touch()
    return {
        "KUBENTLY_API_URL": "http://127.0.0.1:1",
        "CLUSTER_ID": "sample",
        "KUBENTLY_TOKEN": "reference-token",
        "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool" / "spool.db"),
        "KUBENTLY_KUBECONFIG": str(tmp_path / "kubeconfig"),
        "KUBENTLY_KUBECTL": str(tmp_path / "kubectl"),
        "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
    }


async def findings_of(environ: dict[str, str]) -> list[Finding]:
    findings: list[Finding] = []
    assert await check_everything(environ, findings.append) is not None
    return [f for f in findings if f.area == "Cluster"]


async def found(environ: dict[str, str]) -> dict[str, Finding]:
    return {f.check: f for f in await findings_of(environ)}


def failed(findings: dict[str, Finding]) -> list[str]:
    return [f.check for f in findings.values() if f.mark is Mark.FAILED]


async def test_a_reader_of_everything_but_secrets(environ: dict[str, str], tmp_path: Path) -> None:
    stand_in.kubectl(tmp_path / "kubectl")
    findings = await found(environ)
    assert len(findings) == 10
    assert {f.mark for f in findings.values()} == {Mark.PASSED}
    assert findings["kubectl"].words == f"v1.37.1, {tmp_path / 'kubectl'}"
    assert findings["API server"].words == "v1.36.4 answers"


async def test_rights_beyond_reading_are_failures(environ: dict[str, str], tmp_path: Path) -> None:
    stand_in.kubectl(tmp_path / "kubectl", rights=stand_in.ADMIN)
    findings = await found(environ)
    assert failed(findings) == ["no secrets", "no changes", "no way into pods"]
    assert findings["no changes"].words.startswith("it may create pods, delete pods, patch deployments.apps")
    assert "get nodes/proxy" in findings["no way into pods"].words
    assert all(findings[check].hint for check in failed(findings))


async def test_without_any_rights(environ: dict[str, str], tmp_path: Path) -> None:
    stand_in.kubectl(tmp_path / "kubectl", rights=stand_in.NOBODY)
    findings = await found(environ)
    assert failed(findings) == ["get and list pods", "read logs", "list events", "list workloads", "list nodes"]


async def test_rights_in_one_namespace_are_enough_to_work(environ: dict[str, str], tmp_path: Path) -> None:
    stand_in.kubectl(tmp_path / "kubectl", rights=stand_in.ONE_NAMESPACE)
    findings = await found(environ)
    assert failed(findings) == []
    assert findings["read logs"].mark is Mark.WARNED
    assert findings["read logs"].words == "in namespace default alone"
    assert findings["list nodes"].mark is Mark.SKIPPED
    assert findings["no secrets"].mark is Mark.PASSED


async def test_versions_apart(environ: dict[str, str], tmp_path: Path) -> None:
    """kubectl itself warns, and with these words."""
    warning = (
        "Warning: version difference between client (1.37) and server (1.34) exceeds the supported minor version skew"
    )
    kubectl = stand_in.kubectl(tmp_path / "kubectl")
    kubectl.write_text(kubectl.read_text().replace('*" version"*)', f'*" version"*) echo "{warning}" >&2;'))
    found = [f for f in await findings_of(environ) if f.check == "API server"]
    assert [(f.mark, f.words) for f in found] == [(Mark.PASSED, "v1.36.4 answers"), (Mark.WARNED, warning)]


async def test_questions_that_arent_answered(environ: dict[str, str], tmp_path: Path) -> None:
    stand_in.kubectl(tmp_path / "kubectl", rights="echo 'error: the server is tired' >&2; exit 1")
    findings = await found(environ)
    assert "the server is tired" in findings["get and list pods"].words
    assert findings["get and list pods"].mark is Mark.FAILED


async def test_an_api_server_that_doesnt_answer(environ: dict[str, str], tmp_path: Path) -> None:
    says = "Unable to connect: x509: certificate signed by unknown authority"
    kubectl = stand_in.kubectl(tmp_path / "kubectl")
    kubectl.write_text(kubectl.read_text().replace('*" version"*)', f'*" version"*) echo "{says}" >&2; exit 1;; "")'))
    findings = await found(environ)
    assert failed(findings) == ["API server"]
    assert findings["API server"].words == says
    assert "its CA, its token" in findings["API server"].hint
    assert "no secrets" not in findings


async def test_a_kubectl_that_hangs_is_given_up(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.check.cluster.SERVER_SECONDS", 0.3)
    kubectl = stand_in.kubectl(tmp_path / "kubectl")
    kubectl.write_text(kubectl.read_text().replace('*" version"*)', '*" version"*) exec /bin/sleep 60;; "")'))
    assert (await found(environ))["API server"].words == "no answer in time"


async def test_a_running_agents_own_surroundings_arent_touched(environ: dict[str, str], tmp_path: Path) -> None:
    stand_in.kubectl(tmp_path / "kubectl")
    await found(environ)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kubeconfig", "kubectl"]


def test_the_pods_own_namespace(tmp_path: Path) -> None:
    assert own_namespace(tmp_path) == "default"
    (tmp_path / "namespace").write_text("kubently\n")
    assert own_namespace(tmp_path) == "kubently"


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl")
async def test_with_the_real_kubectl_all_is_well(environ: dict[str, str], tmp_path: Path) -> None:
    assert KUBECTL is not None
    async with reference_api() as api, sample_cluster() as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        findings: list[Finding] = []
        environ |= {"KUBENTLY_API_URL": api.url, "KUBENTLY_KUBECTL": KUBECTL}
        await check_everything(environ, findings.append)
        assert [f for f in findings if f.mark not in {Mark.PASSED, Mark.SKIPPED}] == []
        assert [f.check for f in findings if f.mark is Mark.SKIPPED] == ["TLS"]
        assert cluster.writes == []
    assert api.problems == []
