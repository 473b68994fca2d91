"""The real agent's pages, while it works, is cut off, stops, and can't start."""

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from demo.api import ReferenceApi, reference_api
from tests.kit.agent import AgentProcess, agent_process, ask


@pytest.fixture(params=["poll", "stream"])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[ReferenceApi]:
    async with reference_api(links=[request.param]) as running:
        yield running


POLL = pytest.mark.parametrize("api", ["poll"], indirect=True)
"""For what has nothing to do with the link."""


class Pages:
    def __init__(self, agent: AgentProcess, client: httpx.AsyncClient) -> None:
        self.agent = agent
        self._client = client

    async def get(self, path: str) -> tuple[int, str]:
        answer = await self._client.get(path)
        return answer.status_code, answer.text

    async def until(self, path: str, words: str) -> str:
        """The page, once it says that."""
        with trio.fail_after(60):
            while words not in (page := (await self.get(path))[1]):  # the page is all that tells
                await trio.sleep(0.02)
        return page


@asynccontextmanager
async def pages(api: ReferenceApi, folder: Path, **environ: str) -> AsyncIterator[Pages]:
    async with agent_process(api, folder, **environ) as agent:
        await agent.until("probes are served")
        port = agent.events("probes are served")[0]["port"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield Pages(agent, client)


async def test_an_agent_that_works(api: ReferenceApi, tmp_path: Path):
    async with pages(api, tmp_path) as asked:
        assert await asked.get("/livez") == (200, "ok\n")
        body = await asked.until("/readyz?verbose", "\nready\n")
        assert "[+] kubectl: v1.37.1\n" in body
        with trio.fail_after(60):
            for what in ("echo-hello", "fail"):
                await api.result(await ask(api, what))
            await api.result(await ask(api, ["delete", "pod", "x"]))
        body = await asked.until("/metrics", 'kubently_spool_commands{state="delivered"} 3\n')
        for line in (
            "kubently_commands_accepted_total 3",
            'kubently_commands_finished_total{outcome="succeeded"} 1',
            'kubently_commands_finished_total{outcome="failed"} 1',
            'kubently_commands_refused_total{rule="verb"} 1',
            "kubently_command_duration_seconds_count 2",
            'kubently_uploads_total{outcome="stored"} 3',
            "kubently_kubectl_running 0",
            "kubently_api_up 1",
        ):
            assert f"\n{line}\n" in f"\n{body}"


async def test_an_api_that_is_away(api: ReferenceApi, tmp_path: Path):
    async with pages(api, tmp_path) as asked:
        await asked.until("/metrics", "kubently_api_up 1\n")
        await api.stop()
        await asked.until("/metrics", "kubently_api_up 0\n")
        assert "; away for " in (await asked.get("/readyz?verbose"))[1]
        assert (await asked.get("/livez"))[0] == 200
        await api.start()


@POLL
async def test_a_kubectl_that_crashes(api: ReferenceApi, tmp_path: Path):
    async with pages(api, tmp_path) as asked:
        await asked.until("/readyz?verbose", "\nready\n")
        (tmp_path / "kubectl-stand-in").unlink()
        with trio.fail_after(60):
            answer = await api.result(await ask(api, "echo-x"))
        assert "isn't there any more" in answer.result["error"]
        status, body = await asked.get("/readyz")
        assert status == 503
        assert "[-] kubectl: " in body
        assert (await asked.get("/livez"))[0] == 200


@POLL
async def test_an_agent_that_stops(api: ReferenceApi, tmp_path: Path):
    async with pages(api, tmp_path) as asked:
        await asked.until("/readyz?verbose", "\nready\n")
        await ask(api, "sleep-1")
        await asked.until("/metrics", "kubently_kubectl_running 1\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked.agent.stop)
            await asked.until("/readyz", "[-] running: the agent is stopping\n")
            assert (await asked.get("/livez"))[0] == 200


@POLL
async def test_the_pages_answer_under_full_load(api: ReferenceApi, tmp_path: Path):
    async with pages(api, tmp_path) as asked:
        ids = [await ask(api, "flood-10000000") for _ in range(4)]
        await asked.until("/metrics", "kubently_kubectl_running ")
        answers = {(await asked.get("/livez"))[0]}
        with trio.fail_after(60):
            while not all(api.record[each].answers for each in ids):
                answers |= {(await asked.get(path))[0] for path in ("/livez", "/metrics")}
        assert answers == {200}


@POLL
async def test_idle_connections_leave_descriptors_for_commands(api: ReferenceApi, tmp_path: Path):
    async with pages(api, tmp_path) as asked:
        pid = asked.agent.process.pid
        await asked.until("/readyz?verbose", "\nready\n")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (48, 48))
        port = asked.agent.events("probes are served")[0]["port"]
        idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(60)]
        with trio.fail_after(60):
            answers = [await api.result(await ask(api, f"echo-{n}")) for n in range(4)]
            assert [answer.result["output"] for answer in answers] == ["0\n", "1\n", "2\n", "3\n"]
        assert (await asked.get("/livez"))[0] == 200
        for stream in idle:
            await trio.aclose_forcefully(stream)
