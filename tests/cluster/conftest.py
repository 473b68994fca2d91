"""One control plane for all tests of this folder. Each of them leaves it as it was found."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import workload
from tests.cluster.controlplane import Cluster, running
from tests.cluster.programs import kubectls
from tests.kustomize.builds import overlay


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder carry the marker."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("cluster")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane with a shop in it."""
    with running(tmp_path_factory.mktemp("controlplane")) as started:
        workload.populate(started)
        yield started


@pytest.fixture(scope="session")
def agent_overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base in another namespace, as a user's overlay has it."""
    return overlay(tmp_path_factory.mktemp("overlay"), namespace=workload.AGENT_NAMESPACE)


@pytest.fixture(scope="module")
def account(cluster: Cluster, agent_overlay: Path) -> Path:
    """The agent is deployed; a kubeconfig with its own service account's token.

    Applied anew for each module: other overlays share the names of the cluster roles.
    """
    said = cluster.kubectl("apply", "-k", agent_overlay, program=kubectls()["newer"])
    assert said.stderr == ""
    return cluster.service_account(workload.AGENT_NAMESPACE)


@pytest.fixture(scope="session", params=["newer", "same", "older"])
def kubectl(request: pytest.FixtureRequest) -> Path:
    """Three minors in a row, the server's in the middle."""
    return kubectls()[request.param]
