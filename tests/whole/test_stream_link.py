"""The stream link on real sockets, against the reference API and against servers that misbehave."""

import gzip
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


@pytest.fixture
def token_file(tmp_path, api):
    path = tmp_path / "token"
    path.write_text(api.token)
    return path


@asynccontextmanager
async def linked(url, folder, token_file=None, **environ):
    token = {"KUBENTLY_TOKEN_FILE": str(token_file)} if token_file else {"KUBENTLY_TOKEN": "reference-token"}
    config = Config.from_environ(
        {
            "KUBENTLY_API_URL": url,
            "CLUSTER_ID": "sample",
            "KUBENTLY_LINK": "stream",
            "KUBENTLY_SPOOL_PATH": str(folder / "spool.db"),
            **token,
            **environ,
        }
    )
    link = StreamLink(Http(config), None, now=trio.current_time, random=lambda: 0.5)
    try:
        yield link
    finally:
        await link.aclose()


@pytest.fixture
async def link(api, tmp_path, token_file):
    async with linked(api.url, tmp_path, token_file) as link:
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


async def receive_until_down(link):
    with trio.fail_after(60):
        while True:
            await link.receive(eager=False)


async def test_a_command_comes_and_its_result_is_taken(api, link):
    await link.receive(eager=True)
    await until(lambda: api.listeners)
    command_id = await api.ask(["get", "pods"], timeout=7, correlation_id="k")
    taken = await receive_command(link)
    assert (taken.id, taken.args, taken.timeout, taken.correlation_id) == (command_id, ("get", "pods"), 6.7, "k")
    reply = await link.deliver(FakeReadyResult(OK, stdout=["NAME\n"], command_id=command_id, correlation_id="k"))
    assert reply.verdict is Verdict.STORED
    assert (await api.result(command_id)).output == "NAME\n"
    assert api.problems == []


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


async def test_a_result_outlives_a_restart_of_the_api(api, link):
    await link.receive(eager=True)
    await until(lambda: api.listeners)
    before = await api.ask(["get", "pods"])
    assert (await receive_command(link)).id == before
    await api.stop()
    with pytest.raises(LinkDown):
        await receive_until_down(link)
    reply = await link.deliver(FakeReadyResult(OK, command_id=before))
    assert (reply.verdict, reply.status) == (Verdict.LATER, None)
    await api.start()
    await link.receive(eager=True)
    assert (await link.deliver(FakeReadyResult(OK, command_id=before))).verdict is Verdict.STORED
    await until(lambda: api.listeners)
    after = await api.ask(["get", "pods"])
    assert (await receive_command(link)).id == after


async def test_rotation(api, link, token_file):
    """The server goes on serving the stream and refuses the results; the agent ends the stream, then has it again."""
    await link.receive(eager=True)
    await until(lambda: api.listeners)
    command_id = await api.ask(["get", "pods"])
    await receive_command(link)
    api.token = "another"
    still = await api.ask(["get", "pods"])
    assert (await receive_command(link)).id == still, "as the real server does"
    assert (await link.deliver(FakeReadyResult(OK, command_id=command_id))).status == 401
    with pytest.raises(LinkDown) as down:
        await link.receive(eager=False)
    assert down.value.refused
    await until(lambda: not api.listeners)
    token_file.write_text("another")
    await link.receive(eager=True)
    for each in (command_id, still):
        assert (await link.deliver(FakeReadyResult(OK, command_id=each))).verdict is Verdict.STORED
    await until(lambda: api.listeners)
    again = await api.ask(["get", "pods"])
    assert (await receive_command(link)).id == again


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


class HalfOpen:
    """A way to the API that can lose connections without a word: no byte, no FIN, no RST."""

    def __init__(self, port):
        self._api_port = port
        self._scopes = []
        self.connections = 0

    @asynccontextmanager
    async def serving(self):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, self._forward, [listener])
            yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()

    def go_dark(self):
        """All connections of now are dead from now on; later ones are well."""
        for scope in self._scopes:
            scope.cancel()

    async def _forward(self, client):
        self.connections += 1
        async with await trio.open_tcp_stream("127.0.0.1", self._api_port) as api:
            with trio.CancelScope() as scope:
                self._scopes.append(scope)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._pump, client, api, nursery.cancel_scope)
                    await self._pump(api, client, nursery.cancel_scope)
                return
            await trio.sleep_forever()

    async def _pump(self, source, sink, scope):
        try:
            async for chunk in source:
                await sink.send_all(chunk)
        except trio.BrokenResourceError:
            pass
        scope.cancel()


async def test_a_half_open_connection_is_noticed(api, tmp_path, monkeypatch):
    monkeypatch.setattr(stream_module, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(stream_module, "STEADY_SECONDS", 0.0)
    way = HalfOpen(api._server.port)
    async with way.serving() as url, linked(url, tmp_path) as link:
        await link.receive(eager=True)
        await until(lambda: api.listeners)
        before = await api.ask(["get", "pods"])
        assert (await receive_command(link)).id == before
        way.go_dark()
        lost = await api.ask(["get", "pods"])
        await link.receive(eager=False)
        assert way.connections == 2
        await until(lambda: len(api.listeners) == 2)  # the API doesn't know yet that the first is dead
        after = await api.ask(["get", "pods"])
        assert (await receive_command(link)).id == after, "once, and not what was sent into the dark"
        assert (await link.deliver(FakeReadyResult(OK, command_id=before))).verdict is Verdict.STORED
        assert api.record[lost].handed_out


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


async def test_bytes_one_by_one(tmp_path):
    async def drip(stream):
        await stream.send_all(HEAD)
        for byte in b": ping\r\n\r\n" + command(1) + command(2):
            await stream.send_all(bytes([byte]))
            await trio.lowlevel.checkpoint()
        await trio.sleep_forever()

    async with raw(drip) as address, linked(f"http://{address}", tmp_path) as link:
        assert [(await receive_command(link)).id for _ in range(2)] == ["c1", "c2"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closed without an answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-st", id="closed within the head"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", id="an endless head"),
        pytest.param(b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nwait", id="busy"),
    ],
)
async def test_servers_that_give_no_stream(tmp_path, answer):
    async def respond(stream):
        await stream.send_all(answer)

    async with raw(respond) as address, linked(f"http://{address}", tmp_path) as link:
        with trio.fail_after(60), pytest.raises(LinkDown):
            await link.receive(eager=True)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="not a byte"),
        pytest.param(HEAD[:-20], id="half the head"),
        pytest.param(b"HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nwait", id="half an error"),
    ],
)
async def test_servers_that_take_the_connection_and_fall_silent(tmp_path, monkeypatch, answer):
    monkeypatch.setattr(stream_module, "OPEN_SECONDS", 0.2)

    async def respond(stream):
        await stream.send_all(answer)
        await trio.sleep_forever()

    async with raw(respond) as address, linked(f"http://{address}", tmp_path) as link:
        with trio.fail_after(60), pytest.raises(LinkDown, match=r"within 0\.2 s"):
            await link.receive(eager=True)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("text/html", b"<html>Log in", "text/html"),
        ("application/json", b'{"commands": []}', "application/json"),
        (
            "text/event-stream\r\nContent-Encoding: gzip",
            gzip.compress(command(1), mtime=0),
            r"text/event-stream \(gzip\)",
        ),
    ],
)
async def test_what_is_no_stream_isnt_listened_to(tmp_path, kind, body, words):
    """It stays open, as the real one would: a page that never ends, a proxy that compresses."""
    left = trio.Event()

    async def respond(stream):
        await stream.send_all(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body)
        await stream.receive_some()
        left.set()

    async with raw(respond) as address, linked(f"http://{address}", tmp_path) as link:
        with trio.fail_after(60):
            with pytest.raises(LinkDown, match=words):
                await link.receive(eager=True)
            await left.wait()


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


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"zz\r\n", id="not a chunk"),
        pytest.param(b"5\r\nevent", id="closed within a chunk"),
        pytest.param(b"0\r\n\r\n", id="ended"),
    ],
)
async def test_streams_that_break(tmp_path, rest):
    async def respond(stream):
        await stream.send_all(HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n" + rest)

    async with raw(respond) as address, linked(f"http://{address}", tmp_path) as link:
        with pytest.raises(LinkDown, match="soon after it began"):
            await receive_until_down(link)


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
