"""The stream link on real sockets, against the reference API and against servers that misbehave."""

import json
import ssl
import tracemalloc
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel
import trustme

import agent.link.stream as stream_module
from agent.config import Config
from agent.errors import LinkDown
from agent.link import Verdict
from agent.link.http import Http
from agent.link.stream import StreamLink
from agent.model import Outcome, Result
from demo.api import reference_api
from tests.tasks.fakes import FakeReadyResult

OK = Result(Outcome.SUCCEEDED, exit_code=0, execution_time_ms=12, output_bytes=5)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def command(number: int, padding: int = 0) -> bytes:
    body = {"id": f"c{number}", "args": ["get", "x" * padding]}
    return b"event: command\r\ndata: " + json.dumps(body).encode() + b"\r\n\r\n"


@pytest.fixture
async def api():
    async with reference_api(links=["stream"]) as api:
        yield api


@asynccontextmanager
async def linked(url, folder, **environ):
    config = Config.from_environ(
        {
            "KUBENTLY_API_URL": url,
            "CLUSTER_ID": "sample",
            "KUBENTLY_LINK": "stream",
            "KUBENTLY_SPOOL_PATH": str(folder / "spool.db"),
            "KUBENTLY_TOKEN": "reference-token",
            **environ,
        }
    )
    link = StreamLink(Http(config))
    try:
        yield link
    finally:
        await link.aclose()


@pytest.fixture
async def link(api, tmp_path):
    async with linked(api.url, tmp_path) as link:
        yield link


async def receive_command(link):
    """The next command, over as many streams as it takes."""
    with trio.fail_after(60):
        while True:
            try:
                batch = await link.receive(eager=False)
            except LinkDown:
                await trio.sleep(0.02)
                continue
            if batch.commands:
                return batch.commands[0]


async def until(condition):
    with trio.fail_after(60):
        while not condition():  # the reference API has no event for this
            await trio.sleep(0.01)


async def test_an_id_that_is_unknown_or_expired_is_refused_for_good(api, link):
    reply = await link.deliver(FakeReadyResult(OK, command_id="never-issued"))
    assert (reply.verdict, reply.status) == (Verdict.REFUSED, 403)
    assert "not issued" in reply.words
    await link.receive(eager=True)
    await until(lambda: api.listeners)
    command_id = await api.ask(["get", "pods"])
    await receive_command(link)
    api.forget(command_id)
    assert (await link.deliver(FakeReadyResult(OK, command_id=command_id))).verdict is Verdict.REFUSED
    assert api.problems == []


async def test_two_agents_of_one_cluster_both_listen_and_both_may_answer(api, link, tmp_path):
    async with linked(api.url, tmp_path) as other:
        await link.receive(eager=True)
        await other.receive(eager=True)
        await until(lambda: len(api.listeners) == 2)
        command_id = await api.ask(["get", "pods"])
        for each in (link, other):
            assert (await receive_command(each)).id == command_id
            assert (await each.deliver(FakeReadyResult(OK, command_id=command_id))).verdict is Verdict.STORED
    assert api.record[command_id].distinct == 1


async def test_one_agent_listens_once(api, link, monkeypatch):
    monkeypatch.setattr(stream_module, "SILENCE_SECONDS", 0.02)
    monkeypatch.setattr(stream_module, "STEADY_SECONDS", 0.0)
    for _ in range(20):
        await link.receive(eager=False)
    await until(lambda: len(api.listeners) == 1)
    await link.aclose()
    await until(lambda: not api.listeners)


@asynccontextmanager
async def raw(handler, wrap=lambda stream: stream):
    """A server of which the test decides every byte; `handler` gets the connection once a request has come."""

    async def serve(stream):
        stream = wrap(stream)
        try:
            request = b""
            while b"\r\n\r\n" not in request:
                request += await stream.receive_some(65536)
            await handler(stream)
            await trio.aclose_forcefully(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_what_the_agent_cant_take_yet_waits_outside_of_it(tmp_path):
    """Nothing is buffered: the API's own sending comes to a halt, and goes on when the agent does."""
    total, sent = 2000, 0
    halted = trio.Event()

    async def push(stream):
        nonlocal sent
        await stream.send_all(HEAD + b": ping\r\n\r\n")
        while sent < total:
            with trio.move_on_after(0.5) as patience:
                await stream.wait_send_all_might_not_block()
            if patience.cancelled_caught:
                halted.set()
            await stream.send_all(command(sent, padding=10_000))
            sent += 1
        await trio.sleep_forever()

    async with raw(push) as address, linked(f"http://{address}", tmp_path) as link:
        with trio.fail_after(60):
            await link.receive(eager=True)
            await halted.wait()
            assert sent < total
            got: list[str] = []
            while len(got) < total:
                batch = await link.receive(eager=False)
                assert len(batch.commands) <= 7, "64 KiB at most are in hand"
                got += [c.id for c in batch.commands]
    assert got == [f"c{n}" for n in range(total)]


@pytest.mark.parametrize("begins", [b"event: command\r\ndata: ", b": "])
async def test_an_event_of_20_mb_takes_no_memory(tmp_path, begins):
    size = 20 * 1024 * 1024

    async def respond(stream):
        await stream.send_all(HEAD + begins)
        for _ in range(size // 65536):
            await stream.send_all(b"x" * 65536)
        await stream.send_all(b"\r\n\r\n" + command(2))
        await trio.sleep_forever()

    async with raw(respond) as address, linked(f"http://{address}", tmp_path) as link:
        skipped = 0
        tracemalloc.start()
        try:
            with trio.fail_after(60):
                while not (batch := await link.receive(eager=False)).commands:
                    skipped += batch.skipped
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert [c.id for c in batch.commands] == ["c2"]
    assert skipped + batch.skipped == (1 if begins.startswith(b"event") else 0)
    assert peak < 2 * 1024 * 1024


async def test_closing_amid_what_has_come_already(tmp_path):
    """What is left unread mustn't keep a generator waiting: pytest would show that as an error."""
    chunk = b"a\r\n: ping 1\r\n\r\n"

    async def respond(stream):
        await stream.send_all(HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n" + 5 * chunk)
        await trio.sleep_forever()

    async with raw(respond) as address, linked(f"http://{address}", tmp_path) as link:
        await link.receive(eager=True)
        assert (await link.receive(eager=False)).commands == []


async def test_over_tls_a_silent_stream_is_left_and_closed_like_any_other(tmp_path, monkeypatch):
    monkeypatch.setattr(stream_module, "STEADY_SECONDS", 0.0)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    connections = 0

    async def serve(stream):
        nonlocal connections
        connections += 1
        await stream.send_all(HEAD + command(connections))
        await trio.sleep_forever()

    def wrap(stream):
        return trio.SSLStream(stream, context, server_side=True)

    ca = {"KUBENTLY_CA_CERT": str(tmp_path / "ca.pem")}
    async with raw(serve, wrap) as address, linked(f"https://{address}", tmp_path, **ca) as link:
        assert (await receive_command(link)).id == "c1"
        monkeypatch.setattr(stream_module, "SILENCE_SECONDS", 0.1)
        assert (await receive_command(link)).id == "c2"
        with trio.move_on_after(0.01):
            await receive_command(link)
        assert (await receive_command(link)).id == "c3"
