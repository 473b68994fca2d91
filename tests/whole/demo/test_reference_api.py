"""The reference API as a client on the wire sees it."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
from starlette.requests import Request
from starlette.responses import Response

from demo.api import ReferenceApi, reference_api

GOOD = {"success": True, "output": "ok\n", "error": None, "exit_code": 0, "execution_time_ms": 12}


@pytest.fixture
async def api() -> AsyncIterator[ReferenceApi]:
    async with reference_api(token="t0ken", cluster_id="c1") as running:
        yield running


@pytest.fixture
async def agent(api: ReferenceApi) -> AsyncIterator[httpx.AsyncClient]:
    async with client(api) as opened:
        yield opened


def client(api: ReferenceApi, token: str = "t0ken", cluster: str = "c1") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}", "X-Cluster-ID": cluster}
    return httpx.AsyncClient(base_url=api.url, headers=headers, trust_env=False)


async def held_poll(api: ReferenceApi, agent: httpx.AsyncClient, nursery: trio.Nursery) -> list[httpx.Response]:
    """Returns when a poll waits for a command; its answer comes into the list."""
    got: list[httpx.Response] = []
    waits, wait_for_queue = trio.Event(), api.wait_for_queue

    async def noted() -> None:
        waits.set()
        await wait_for_queue()

    async def poll() -> None:
        got.append(await agent.get("/agent/commands?wait=20"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "wait_for_queue", noted)
        nursery.start_soon(poll)
        await waits.wait()
    return got


async def test_a_command_goes_out_and_its_result_comes_back(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    command_id = await api.ask(["get", "pods"], timeout=5)
    reply = await agent.get("/agent/commands?wait=20")
    assert reply.json() == {"commands": [{"id": command_id, "args": ["get", "pods"], "timeout": 5}]}
    reply = await agent.post("/agent/results", json={"command_id": command_id, "result": GOOD})
    assert reply.status_code == 200
    answer = await api.result(command_id)
    assert (answer.output, answer.success, answer.link) == ("ok\n", True, "poll")
    assert json.loads(answer.body.raw())["command_id"] == command_id
    assert len(api.record[command_id].handed_out) == 1


async def test_at_most_ten_commands_at_once_and_one_after_waiting(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    for _ in range(12):
        await api.ask(["version"])
    assert len((await agent.get("/agent/commands?wait=1")).json()["commands"]) == 10
    assert len((await agent.get("/agent/commands?wait=1")).json()["commands"]) == 2
    async with trio.open_nursery() as nursery:
        got = await held_poll(api, agent, nursery)
        await api.ask(["version"])
        await api.ask(["version"])
    assert len(got[0].json()["commands"]) == 1
    assert (await agent.get("/agent/commands?wait=0")).status_code == 200
    assert (await agent.get("/agent/commands?wait=0")).status_code == 204


async def test_a_poll_whose_agent_is_gone_takes_no_command(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    async with trio.open_nursery() as nursery:
        await held_poll(api, agent, nursery)
        nursery.cancel_scope.cancel()
    with trio.fail_after(60):
        while not api.requests:  # the server has no event for it
            await trio.sleep(0.01)
    command_id = await api.ask(["version"])
    assert not api.record[command_id].handed_out
    assert (await agent.get("/agent/commands?wait=5")).json()["commands"][0]["id"] == command_id


@pytest.mark.parametrize("wait", ["x", "-1", "1.5", "61", ""])
async def test_a_wrong_wait_is_told(api: ReferenceApi, agent: httpx.AsyncClient, wait: str) -> None:
    assert (await agent.get(f"/agent/commands?wait={wait}")).status_code == 400
    assert api.problems


@pytest.mark.parametrize(
    "change",
    [
        {"success": "yes"},
        {"output": 3},
        {"exit_code": True},
        {"exit_code": 1},
        {"execution_time_ms": 1.5},
        {"execution_time_ms": -1},
        {"error": ["x"]},
        {"truncated": 1},
        {"success": None},
    ],
)
async def test_a_result_of_the_wrong_shape_is_refused(
    api: ReferenceApi, agent: httpx.AsyncClient, change: dict[str, object]
) -> None:
    command_id = await api.ask(["version"])
    reply = await agent.post("/agent/results", json={"command_id": command_id, "result": GOOD | change})
    assert reply.status_code == 400
    assert reply.json()["detail"] == api.problems
    assert not api.record[command_id].answers


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"command_id": 1}', b"\xff", b'"\\x"', b'{"a": NaN}', b"<html>"])
async def test_what_is_no_result_at_all_is_refused(agent: httpx.AsyncClient, body: bytes) -> None:
    assert (await agent.post("/agent/results", content=body)).status_code == 400
    assert (await agent.post("/executor/results", content=body)).status_code == 422


async def test_unknown_ids(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    assert (await agent.post("/agent/results", json={"command_id": "x", "result": GOOD})).status_code == 404
    assert (await agent.post("/executor/results", json={"command_id": "x", **GOOD})).status_code == 403
    command_id = await api.ask(["version"])
    api.forget(command_id)
    assert (await agent.post("/executor/results", json={"command_id": command_id, **GOOD})).status_code == 403


async def test_only_its_own_agent_may_ask(api: ReferenceApi) -> None:
    async with client(api, token="other") as stranger:
        assert (await stranger.get("/agent/status")).status_code == 401
        assert (await stranger.post("/agent/results", content=b"x" * 3_000_000)).status_code == 401
    async with client(api, cluster="c2") as neighbour:
        assert (await neighbour.get("/agent/commands?wait=1")).status_code == 401
    api.token = "rotated"
    async with client(api) as late, client(api, token="rotated") as fresh:
        assert (await late.get("/agent/status")).status_code == 401
        reply = await fresh.get("/agent/status")
    assert reply.json() == {"cluster_id": "c1", "is_active": True, "queue_depth": 0}


async def test_it_goes_away_and_comes_back_with_all_it_knew(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    command_id = await api.ask(["version"])
    await agent.get("/agent/commands?wait=1")
    url = api.url
    await api.stop()
    with pytest.raises(httpx.ConnectError):
        await agent.get("/agent/status")
    await api.start()
    assert api.url == url
    reply = await agent.post("/agent/results", json={"command_id": command_id, "result": GOOD})
    assert reply.status_code == 200


async def test_a_waiting_poll_breaks_when_it_goes_away(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc((httpx.RemoteProtocolError, httpx.ReadError))):
        async with trio.open_nursery() as nursery:
            await held_poll(api, agent, nursery)
            await api.stop()


async def test_a_large_result_is_kept_in_a_file(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    command_id = await api.ask(["logs", "x"])
    output = 'line "é" \\ \n' * 500_000
    body = json.dumps({"command_id": command_id, "result": GOOD | {"output": output}}).encode()
    assert (await agent.post("/agent/results", content=body)).status_code == 200
    answer = await api.result(command_id)
    assert answer.body.shortened
    assert len(answer.output) < 300_000
    assert answer.output.startswith('line "é"')
    assert answer.body.raw() == body


async def test_too_large_is_413(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    api.max_body_bytes = 1000
    command_id = await api.ask(["logs", "x"])
    result = GOOD | {"output": "x" * 1_000_000}
    assert (await agent.post("/agent/results", json={"command_id": command_id, "result": result})).status_code == 413
    assert not api.record[command_id].answers


async def test_it_goes_away_amid_an_upload(api: ReferenceApi) -> None:
    command_id = await api.ask(["logs", "x"])
    stream = await trio.open_tcp_stream("127.0.0.1", int(api.url.rpartition(":")[2]))
    async with stream:
        await stream.send_all(
            b"POST /agent/results HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t0ken\r\nX-Cluster-ID: c1\r\n"
            b"Content-Length: 1000000\r\n\r\n" + b" " * 1000
        )
        await trio.sleep(0.05)
        await api.stop()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b" " * 10_000_000)
    assert not api.record[command_id].answers


async def test_the_same_answer_twice_isnt_a_contradiction_but_another_is(
    api: ReferenceApi, agent: httpx.AsyncClient
) -> None:
    command_id = await api.ask(["version"])
    for _ in range(2):
        await agent.post("/agent/results", json={"command_id": command_id, "result": GOOD})
    assert (len(api.record[command_id].answers), api.record.contradicted) == (2, [])
    await agent.post("/agent/results", json={"command_id": command_id, "result": GOOD | {"output": "other"}})
    assert api.record.contradicted == [api.record[command_id]]


async def test_unanswered_commands_can_be_handed_out_again(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    command_id = await api.ask(["version"])
    await agent.get("/agent/commands?wait=1")
    assert api.hand_out_again() == 1
    assert (await agent.get("/agent/commands?wait=1")).json()["commands"][0]["id"] == command_id
    assert len(api.record[command_id].handed_out) == 2


async def listen(api: ReferenceApi) -> trio.SocketStream:
    """A stream on a bare socket: httpx's iterators are in the way of a test that stops reading."""
    stream = await trio.open_tcp_stream("127.0.0.1", int(api.url.rpartition(":")[2]))
    await stream.send_all(
        b"GET /executor/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t0ken\r\nX-Cluster-ID: c1\r\n\r\n"
    )
    return stream


async def heard(stream: trio.SocketStream, wanted: bytes) -> bytes:
    """What comes, until `wanted` is in it."""
    data = b""
    with trio.fail_after(60):
        while wanted not in data:
            chunk = await stream.receive_some()
            assert chunk, f"closed after {data!r}"
            data += chunk
    return data


async def test_a_stream_has_the_bytes_of_the_real_server(api: ReferenceApi) -> None:
    async with await listen(api) as stream:
        first = await heard(stream, b"}\r\n\r\n")
        assert b"content-type: text/event-stream; charset=utf-8\r\n" in first
        assert b'event: connected\r\ndata: {"status": "connected", "cluster_id": "c1"}\r\n\r\n' in first
        command_id = await api.ask(["get", "pods"], timeout=3, correlation_id="c-1")
        command = {"id": command_id, "args": ["get", "pods"], "timeout": 3, "correlation_id": "c-1"}
        await heard(stream, f"event: command\r\ndata: {json.dumps(command)}\r\n\r\n".encode())
        api.token = "rotated"
        await api.ask(["version"])
        await heard(stream, b"version")
    assert api.record[command_id].handed_out[0].link == "stream"


async def test_what_is_sent_while_nobody_listens_is_gone() -> None:
    async with reference_api(token="t0ken", cluster_id="c1", links=["stream"]) as api, client(api) as agent:
        command_id = await api.ask(["version"])
        async with await listen(api) as stream:
            assert b"version" not in await heard(stream, b"connected")
        assert not api.record[command_id].handed_out
        assert (await agent.get("/agent/status")).status_code == 404


async def test_a_closed_stream_listens_no_longer(api: ReferenceApi) -> None:
    async with await listen(api) as stream:
        await heard(stream, b"connected")
        assert len(api.listeners) == 1
    with trio.fail_after(60):
        while api.listeners:  # the server has no event for it
            await trio.sleep(0.01)
    await api.ask(["version"])
    assert api.queue_depth == 1


async def test_a_half_open_stream_carries_nothing_more(api: ReferenceApi) -> None:
    async with await listen(api) as stream:
        await heard(stream, b"connected")
        api.silent = True
        command_id = await api.ask(["version"])
        with trio.move_on_after(0.2) as waiting:
            await stream.receive_some()
    assert waiting.cancelled_caught
    assert api.record[command_id].handed_out


async def test_capabilities_and_heartbeat(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    assert (await agent.post("/executor/heartbeat")).json()["status"] == "not_found"
    report = {
        "mode": "readOnly",
        "allowed_verbs": ["get"],
        "restricted_resources": ["secrets"],
        "allowed_flags": [],
    }
    assert (await agent.post("/executor/capabilities", json=report)).status_code == 200
    assert (await agent.post("/executor/heartbeat")).json()["status"] == "success"
    too_many = report | {"allowed_flags": ["--x"] * 101}
    assert (await agent.post("/executor/capabilities", json=too_many)).status_code == 422
    assert (await agent.post("/executor/capabilities", json={"mode": "all"})).status_code == 422
    api.reports_capabilities = False
    assert (await agent.post("/executor/capabilities", json=report)).status_code == 404


async def test_a_flat_result_must_have_its_time_as_an_integer(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    command_id = await api.ask(["version"])
    flat = {"command_id": command_id, "success": True, "execution_time_ms": 3}
    wrong = flat | {"execution_time_ms": 3.5}
    assert (await agent.post("/executor/results", json=wrong)).status_code == 422
    assert (await agent.post("/executor/results", json=flat | {"executed_at": "noon"})).status_code == 422
    assert (await agent.post("/executor/results", json=flat)).status_code == 200
    assert (await api.result(command_id)).link == "stream"


async def test_faults_can_be_put_in_its_way(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    async def gateway(request: Request) -> Response | None:
        return Response("<html>", 502) if request.url.path == "/agent/status" else None

    api.interfere = gateway
    assert (await agent.get("/agent/status")).status_code == 502
    assert (await agent.get("/agent/commands?wait=0")).status_code == 204
    assert [seen.status for seen in api.requests] == [502, 204]


async def test_a_search_of_logs_goes_out_on_both_links(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    wanted = {"namespace": "shop", "selector": "app=web", "query": "ERROR"}
    polled = await api.search_logs(wanted)
    reply = await agent.get("/agent/commands?wait=0")
    assert reply.json() == {"commands": [{"id": polled, "tool": "log_search", "request": wanted}]}
    async with await listen(api) as stream:
        await heard(stream, b"connected")
        streamed = await api.search_logs(wanted, timeout=10)
        command = {"id": streamed, "tool": "log_search", "request": wanted, "timeout": 10}
        await heard(stream, f"event: command\r\ndata: {json.dumps(command)}\r\n\r\n".encode())


async def test_warnings_and_redactions_are_of_the_contract(api: ReferenceApi, agent: httpx.AsyncClient) -> None:
    command_id = await api.ask(["version"])
    for wrong in ({"warnings": ["x"]}, {"redactions": "2"}, {"redactions": True}):
        reply = await agent.post("/agent/results", json={"command_id": command_id, "result": GOOD | wrong})
        assert reply.status_code == 400
    result = GOOD | {"warnings": "Warning: old", "redactions": 2}
    assert (await agent.post("/agent/results", json={"command_id": command_id, "result": result})).status_code == 200
