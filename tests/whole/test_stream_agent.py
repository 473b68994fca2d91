"""The whole agent as an executor of Kubently 2.x: what is the stream's own."""

import json
import sqlite3
from contextlib import closing

import httpx
import pytest
import trio
from starlette.responses import JSONResponse

from agent import __version__
from demo.api import reference_api
from tests.kit.agent import agent_process, ask, listened

SOON = 60  # seconds; the machine may be busy


@pytest.fixture
async def api():
    async with reference_api(links=["stream"]) as api:
        yield api


async def until(condition):
    with trio.fail_after(SOON):
        while not condition():  # the reference API has no event for this
            await trio.sleep(0.02)


async def result(api, command_id):
    with trio.fail_after(SOON):
        return (await api.result(command_id)).result


def rejected(agent):
    with closing(sqlite3.connect(f"file:{agent.spool}?mode=ro", uri=True)) as db:
        return [row[0] for row in db.execute("select command_id from recent where state = 'rejected'")]


async def page(agent, path):
    await agent.until("probes are served")
    port = agent.events("probes are served")[0]["port"]
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}")


async def test_what_may_run_is_told_and_an_idle_agent_is_ready(api, tmp_path):
    async with agent_process(api, tmp_path) as agent:
        await until(lambda: api.capabilities)
        assert api.capabilities["mode"] == "readOnly"
        assert {"get", "logs", "rollout status", "top"} <= set(api.capabilities["allowed_verbs"])
        assert api.capabilities["restricted_resources"][0] == "secrets"
        assert api.capabilities["executor_version"] == __version__
        await listened(api)
        ready = await page(agent, "/readyz?verbose")
        assert ready.status_code == 200, ready.text
        assert "kubently_api_up 1" in (await page(agent, "/metrics")).text
    assert api.problems == []


async def test_the_policys_file_is_in_what_is_told(api, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('verbs = ["get"]\ndenied_types = ["configmaps"]\n')
    async with agent_process(api, tmp_path, KUBENTLY_POLICY_FILE=str(policy)):
        await until(lambda: api.capabilities)
    assert api.capabilities["allowed_verbs"] == ["get"]
    assert "configmaps" in api.capabilities["restricted_resources"]


async def test_commands_of_other_tools_and_of_no_shape_are_answered(api, tmp_path):
    async with agent_process(api, tmp_path):
        await listened(api)
        helm = await api.ask([], tool="helm", request={"release": "x"}, correlation_id="k")
        odd = await api.ask(["get", 7])
        helm, odd = await result(api, helm), await result(api, odd)
    assert helm["success"] is False
    assert "kubectl and log_search, not the tool 'helm'" in helm["output"]
    assert helm["execution_time_ms"] == 0
    assert "list of strings" in odd["error"]
    assert api.problems == []


async def test_more_than_there_is_room_for_is_answered_at_once(api, tmp_path):
    async with agent_process(api, tmp_path, KUBENTLY_EXECUTORS="1", KUBENTLY_MAX_OUTPUT_BYTES="64Ki") as agent:
        slow = await ask(api, "until-go")
        await agent.until("kubectl starts")
        ids = [await ask(api, f"echo-{n}") for n in range(100)]
        await until(lambda: sum(bool(api.record[each].answers) for each in ids) >= 40)
        assert not api.record[slow].answers
        (tmp_path / "go").touch()
        results = [await result(api, each) for each in ids]
    ran = [r for r in results if r["success"]]
    busy = [r for r in results if not r["success"]]
    assert 60 <= len(ran) <= 61
    assert all("no room for more commands" in r["output"] for r in busy)
    assert agent.runs("echo-99") == 0


async def test_an_expired_id_is_rejected_where_everybody_can_see_it(api, tmp_path):
    async with agent_process(api, tmp_path) as agent:
        late = await ask(api, "until-go")
        await agent.until("command accepted")
        api.forget(late)
        (tmp_path / "go").touch()
        fine = await ask(api, "echo-fine")
        assert (await result(api, fine))["output"] == "fine\n"
        await agent.until("result refused by the API, kept")
        await until(lambda: rejected(agent) == [late])  # written a moment after it is logged
        posts = [seen for seen in api.requests if seen.path == "/executor/results" and seen.status == 403]
        assert len(posts) == 1


async def test_results_flow_while_the_stream_alone_is_down(api, tmp_path):
    """Commands can't come in; what is running still gets its answer taken, and without delay."""
    async with agent_process(api, tmp_path) as agent:
        ids = [await ask(api, "until-go") for _ in range(3)]
        await agent.until("kubectl starts", 3)

        async def no_streams(request):
            return JSONResponse({"detail": "busy"}, 500) if request.url.path == "/executor/stream" else None

        api.interfere = no_streams
        await api.stop()
        await api.start()
        (tmp_path / "go").touch()
        for each in ids:
            assert (await result(api, each))["success"]
        assert not api.listeners
        assert agent.events("stream of commands can't be reached")
        assert (await page(agent, "/metrics")).text.count("kubently_api_up 0") == 1
        api.interfere = None
        await listened(api)
        await agent.until("stream of commands reached again")
        assert (await result(api, await ask(api, "echo-again")))["output"] == "again\n"


async def test_a_rotated_token(api, tmp_path, monkeypatch):
    monkeypatch.setattr("demo.sse.PING_SECONDS", 1)  # a stream is left at its next sign of life
    token = tmp_path / "token"
    token.write_text(api.token)
    async with agent_process(api, tmp_path, KUBENTLY_TOKEN_FILE=str(token), KUBENTLY_TOKEN="") as agent:
        running = await ask(api, "until-go")
        await agent.until("kubectl starts")
        api.token = "another"
        (tmp_path / "go").touch()
        await agent.until("API refuses this agent")
        await until(lambda: not api.listeners)
        assert not api.record[running].answers
        token.write_text("another")
        assert (await result(api, running))["success"]
        assert (await result(api, await ask(api, "echo-again")))["output"] == "again\n"
    assert "another" not in agent.log.read_text()


async def test_a_command_that_comes_twice_runs_once(api, tmp_path):
    async with agent_process(api, tmp_path) as agent:
        once = await ask(api, "sleep-0.7")
        await agent.until("kubectl starts")
        api.hand_out_again()
        await agent.until("command known already, not run again")
        await result(api, once)
        assert agent.runs("sleep-0.7") == 1
    assert api.record[once].distinct == 1


async def test_restarts_of_the_api_lose_no_result(api, tmp_path):
    async with agent_process(api, tmp_path) as agent:
        ids = []
        for n in range(4):
            ids += [await ask(api, f"sleep-0.{n}{m}") for m in range(1, 4)]
            await agent.until("command accepted", len(ids))
            await api.stop()
            await trio.sleep(0.3)
            await api.start()
        for each in ids:
            assert (await result(api, each))["success"]
    assert not api.record.contradicted
    assert api.problems == []


async def test_a_stop_says_goodbye_to_the_stream_first(api, tmp_path):
    async with agent_process(api, tmp_path) as agent:
        slow = await ask(api, "until-go")
        await agent.until("kubectl starts")
        agent.process.terminate()
        await until(lambda: not api.listeners)
        assert not api.record[slow].answers, "nothing new is pushed to it while it finishes"
        (tmp_path / "go").touch()
        assert await agent.process.wait() == 0
    assert api.record[slow].answers[0].success
    assert json.loads(api.record[slow].answers[0].body.raw())["execution_time_ms"] > 0
