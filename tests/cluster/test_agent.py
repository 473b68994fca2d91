"""The real agent, as its own service account, on a real API server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from demo.api import ReferenceApi, reference_api
from tests.cluster.commands import ALLOWED, FORBIDDEN, POD
from tests.cluster.controlplane import Cluster
from tests.cluster.workload import SECRET
from tests.kit.agent import AgentProcess, agent_process

PATIENCE = 60
"""A bound in seconds for what takes about five."""


@pytest.fixture
async def api() -> AsyncIterator[ReferenceApi]:
    async with reference_api() as api:
        yield api


@pytest.fixture
async def agent(api: ReferenceApi, account: Path, kubectl: Path, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    """With each of the three kubectls in turn."""
    environ = {"KUBENTLY_KUBECTL": str(kubectl), "KUBENTLY_KUBECONFIG": str(account)}
    async with agent_process(api, tmp_path, **environ) as agent:
        yield agent


async def test_every_verb_of_the_guard_is_answered(api: ReferenceApi, agent: AgentProcess) -> None:
    asked = {line: await api.ask(line.split(), timeout=30) for line in ALLOWED}
    with trio.fail_after(PATIENCE):
        for line, command_id in asked.items():
            answer = await api.result(command_id)
            assert answer.success, f"{line}: {answer.error}"
            assert ALLOWED[line] in answer.output
            assert SECRET not in answer.output
    assert api.problems == []


async def test_everything_forbidden_ends_at_the_guard(api: ReferenceApi, agent: AgentProcess) -> None:
    asked = {line: await api.ask(line.replace(POD, "web-0").split(" ")) for line in FORBIDDEN}
    with trio.fail_after(PATIENCE):
        for line, command_id in asked.items():
            answer = await api.result(command_id)
            assert not answer.success, line
            assert answer.result["exit_code"] is None, line  # nothing was started
    assert api.problems == []


async def test_what_the_server_refuses_comes_back_in_its_own_words(
    api: ReferenceApi, agent: AgentProcess, cluster: Cluster
) -> None:
    command_id = await api.ask(["get", "gadgets", "-n", "shop"])
    with trio.fail_after(PATIENCE):
        answer = await api.result(command_id)
    assert not answer.success
    assert answer.result["exit_code"] == 1
    assert 'gadgets.example.com is forbidden: User "system:serviceaccount:kubently-elsewhere:' in answer.error
