"""`log_search` with a real kubectl, over both links: the demo's question, 60 MB of logs, and a kill in the middle."""

import shutil
import sys
from pathlib import Path

import pytest
import trio

from demo.api import reference_api
from demo.cluster.api import sample_cluster
from tests.kit.agent import agent_process, listened


@pytest.fixture(params=["poll", "stream"])
async def api(request):
    async with reference_api(links=[request.param]) as api:
        yield api


async def search(api, request, *, seconds=30.0):
    await listened(api)
    with trio.fail_after(60):
        return (await api.result(await api.search_logs(request, timeout=seconds))).result


def logging_kubectl(file: Path, *, pods: int, log: str) -> Path:
    """A kubectl whose cluster has so many pods, and whose logs are what the shell prints."""
    file.write_text(f"""#!/bin/sh
case "$*" in
  *" config view "*) echo '{{"clusters":[{{"name":"c","cluster":{{"server":"https://127.0.0.1:1"}}}}],"current-context":"c"}}';;
  *version*) echo '{{"clientVersion":{{"gitVersion":"v1.37.1"}}}}';;
  *" get "*) {"; ".join(f"echo 'web-{n} app'" for n in range(pods))};;
  *" logs "*) echo x >> {file.parent}/reads; {log};;
esac
""")
    file.chmod(0o755)
    return file


async def test_one_question_finds_the_line_over_three_pods(api, tmp_path):
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent))
    async with sample_cluster() as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        async with agent_process(api, tmp_path, kubectl=Path(str(kubectl)), kubeconfig=tmp_path / "kubeconfig"):
            request = {"namespace": "shop", "selector": "app=web", "query": "failed: checkout", "context_lines": 1}
            found = await search(api, request)
            nothing = await search(api, {**request, "query": "no such words"})
            nobody = await search(api, {**request, "selector": "app=none"})
            refused = await search(api, {**request, "namespace": "kube system"})
    lines = found["output"].splitlines()
    assert found["success"] is True
    assert lines[0].startswith("3 of 3 containers searched (pods with app=web in namespace shop)")
    assert lines[0].endswith("3 lines match, 3 shown.")
    assert sum("> " in line and "failed: checkout" in line for line in lines) == 3
    assert "Nothing matched." in nothing["output"]
    assert nobody["success"] is True
    assert nobody["output"].startswith("No containers found")
    assert refused["success"] is False
    assert api.problems == []


STATUS = "ready: true, restartCount: 1, image: i, imageID: i, state: {running: {startedAt: '2026-11-28T11:00:00Z'}}"
POD = f"""recorded: 2026-11-28T12:00:00Z
items:
- apiVersion: v1
  kind: Pod
  metadata: {{name: pay-0, namespace: shop, labels: {{app: pay}}, creationTimestamp: '2026-11-25T07:00:00Z'}}
  spec: {{initContainers: [{{name: migrate}}], containers: [{{name: app}}, {{name: proxy}}]}}
  status:
    phase: Running
    initContainerStatuses: [{{name: migrate, {STATUS}}}]
    containerStatuses: [{{name: app, {STATUS}, lastState: {{terminated: {{exitCode: 1}}}}}}, {{name: proxy, {STATUS}}}]
- kind: Log
  metadata: {{name: pay-0, namespace: shop}}
  container: migrate
  current: 2026-11-28T11:00:00Z error, no such table, made it
- kind: Log
  metadata: {{name: pay-0, namespace: shop}}
  container: app
  current: 2026-11-28T11:00:02Z all is well
  previous: 2026-11-28T11:00:01Z FATAL error, out of paper
"""


async def test_init_containers_sidecars_and_lives_before_a_restart(api, tmp_path):
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "pay.yaml").write_text(POD)
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent))
    async with sample_cluster(objects=tmp_path / "objects") as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        async with agent_process(api, tmp_path, kubectl=Path(str(kubectl)), kubeconfig=tmp_path / "kubeconfig"):
            request = {"namespace": "shop", "selector": "app=pay", "query": "error"}
            now = (await search(api, request))["output"]
            before = (await search(api, {**request, "previous": True}))["output"]
            one = (await search(api, {**request, "container": "app", "since_time": 1}))["output"]
            none = (await search(api, {**request, "container": "nobody"}))["output"]
    assert now.startswith("3 of 3 containers searched")
    assert "== pay-0/migrate: 1 of 1 line ===\n     1> error, no such table, made it\n" in now
    assert "No match in pay-0/app, pay-0/proxy.\n" in now
    assert before.startswith("1 of 3 containers searched")
    assert "== pay-0/app: 1 of 1 line ===\n     1> FATAL error, out of paper\n" in before
    assert "  pay-0/migrate: it hasn't restarted\n  pay-0/proxy: it hasn't restarted\n" in before
    assert "1 of 1 containers searched" in one
    assert "since 1970-01-01T00:00:01+00:00" in one
    assert none.startswith("No containers found: there are no pods with app=pay in namespace shop, container nobody.")
    assert api.problems == []


@pytest.mark.parametrize("api", ["poll"], indirect=True)
async def test_60_mb_of_logs_cost_no_memory(api, tmp_path):
    line = "2026-11-28T11:41:07Z INFO web request 80417 was served in 12 ms, nothing of note happened meanwhile"
    kubectl = logging_kubectl(
        tmp_path / "kubectl-logs", pods=4, log=f"/usr/bin/yes '{line}' | /usr/bin/head -c 16000000"
    )
    async with agent_process(api, tmp_path, kubectl=kubectl) as agent:
        warm = await search(api, {"namespace": "shop", "pod_name": "web-1", "query": "ERROR"})
        assert warm["success"]
        agent.watched.reset_peak()
        before = agent.watched.memory().resident
        found = await search(api, {"namespace": "shop", "selector": "app=web", "query": "ERROR"}, seconds=50)
        assert found["output"].startswith("4 of 4 containers searched")
        assert agent.watched.memory().peak - before < 12 << 20


async def test_a_kill_in_the_middle_runs_the_whole_search_again_as_one_command(api, tmp_path):
    kubectl = logging_kubectl(tmp_path / "kubectl-logs", pods=2, log="echo an ERROR; /bin/sleep 2")
    (tmp_path / "reads").touch()
    async with agent_process(api, tmp_path, kubectl=kubectl) as agent:
        await listened(api)
        asked = await api.search_logs({"namespace": "shop", "selector": "app=web", "query": "error"}, timeout=30)
        while not (tmp_path / "reads").read_text():
            await trio.sleep(0.02)
        await agent.kill()
        await agent.start()
        with trio.fail_after(60):
            result = (await api.result(asked)).result
    assert result["output"].startswith("2 of 2 containers searched")
    assert len(api.record[asked].answers) == 1
