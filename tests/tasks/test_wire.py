"""The transport on real sockets: what a server may do to a connection, and what becomes of it."""

import re
import ssl
from contextlib import aclosing, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import trio
import trustme

from agent.link import wire
from agent.link.wire import Connection, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ANYONE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Server:
    """Answers each request with the next of `answers`, the last one again and again; None closes the connection."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.connections = 0
        self.requests = []
        self.packets = []

    async def serve(self, stream):
        self.connections += 1
        try:
            while (request := await self._request(stream)) is not None:
                self.requests.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    return
                if callable(answer):
                    await answer(stream)
                    return
                await stream.send_all(answer)
        except trio.BrokenResourceError:
            pass

    async def _request(self, stream):
        data = b""
        while b"\r\n\r\n" not in data:
            more = await stream.receive_some()
            if not more:
                return None
            self.packets.append(more)
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        while length and len(body) < int(length[1]):
            body += await stream.receive_some()
        return head, body


class Silent(Server):
    """Takes the connection, and no more."""

    async def serve(self, stream):
        await trio.sleep_forever()


class Hasty(Server):
    """Does so as soon as something of a request is there."""

    async def _request(self, stream):
        await stream.receive_some()
        return (b"", b"")


LARGE = {"Content-Length": "20000000"}
"""Of a body that no socket's buffer holds."""


async def large_body(sent=lambda: None):
    for _ in range(200):
        yield b"x" * 100_000
    sent()


@asynccontextmanager
async def running(server, tls=None, host="127.0.0.1"):
    """The server, and a transport that knows its address."""
    async with trio.open_nursery() as nursery:
        (tcp,) = await trio.open_tcp_listeners(0, host=host.replace("localhost", "127.0.0.1"))
        port = tcp.socket.getsockname()[1]
        listener = tcp if tls is None else trio.SSLListener(tcp, tls, https_compatible=True)
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"
        nursery.cancel_scope.cancel()


@pytest.fixture
async def transport():
    wire = Wire(ANYONE)
    yield wire
    await wire.aclose()


def asking(url, *, content=None, read=5.0, connect=5.0, **headers):
    timeout = {"connect": connect, "read": read, "write": read, "pool": None}
    return httpx.Request("POST", url, content=content, headers=headers, extensions={"timeout": timeout})


async def whole(transport, request):
    """The status and the body of an answer, read to its end."""
    with trio.fail_after(20):
        response = await transport.handle_async_request(request)
        try:
            return response.status_code, b"".join([chunk async for chunk in response.stream])
        finally:
            await response.aclose()


async def test_a_connection_serves_one_request_after_the_other(transport):
    server = Server(OK)
    async with running(server) as url:
        for number in range(3):
            assert await whole(transport, asking(url, content=b"%d" % number)) == (200, b"ok")
    assert [body for _, body in server.requests] == [b"0", b"1", b"2"]
    assert server.connections == 1


async def test_a_small_request_is_one_packet(transport):
    server = Server(OK)
    async with running(server) as url:
        await whole(transport, asking(url, content=b"x" * 1000))
    assert len(server.packets) == 1


@pytest.mark.parametrize(
    "ends",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        b"HTTP/1.0 200 OK\r\n\r\nok",
    ],
)
async def test_a_connection_that_the_server_ends_is_not_used_again(transport, ends):
    async def answers_and_closes(stream):
        await stream.send_all(ends)

    server = Server(answers_and_closes)
    async with running(server) as url:
        for _ in range(2):
            assert await whole(transport, asking(url)) == (200, b"ok")
    assert server.connections == 2


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(transport):
    async def closes_after_a_whole_answer(stream):
        await stream.send_all(OK)

    server = Server(closes_after_a_whole_answer)
    async with running(server) as url:
        assert await whole(transport, asking(url)) == (200, b"ok")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert await whole(transport, asking(url)) == (200, b"ok")
    assert server.connections == 2


async def test_nor_one_that_is_too_old(transport, monkeypatch):
    server = Server(OK)
    async with running(server) as url:
        await whole(transport, asking(url))
        monkeypatch.setattr(wire, "IDLE_SECONDS", -1)
        await whole(transport, asking(url))
    assert server.connections == 2


async def test_a_body_where_there_can_be_none_isnt_taken_for_the_next_answer(transport):
    server = Server(b"HTTP/1.1 204 No Content\r\n\r\nnull")
    async with running(server) as url:
        for _ in range(2):
            assert await whole(transport, asking(url)) == (204, b"")
    assert server.connections == 2


async def test_no_more_than_a_few_unused_connections_are_kept(transport, monkeypatch):
    monkeypatch.setattr(wire, "IDLE_MOST", 1)
    server = Server(OK)
    async with running(server) as url, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(whole, transport, asking(url))
    assert len(transport._idle) == 1


async def test_an_answer_that_is_given_up_closes_its_connection(transport):
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbut", OK)
    async with running(server) as url:
        response = await transport.handle_async_request(asking(url))
        with trio.move_on_after(0.05):
            async for _ in response.stream:
                pass
        await response.aclose()
        assert [chunk async for chunk in response.stream] == []
        assert await whole(transport, asking(url)) == (200, b"ok")
    assert server.connections == 2


async def test_interim_answers_are_passed_over(transport):
    async with running(Server(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK)) as url:
        assert await whole(transport, asking(url)) == (200, b"ok")


async def test_chunks(transport):
    async with running(
        Server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n")
    ) as url:
        assert await whole(transport, asking(url)) == (200, b"ok")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, httpx.RemoteProtocolError),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000, httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbut", httpx.ReadTimeout),
        (b"HTTP/1.1 2", httpx.ReadTimeout),
    ],
)
async def test_what_is_no_answer(transport, answer, error):
    async with running(Server(answer)) as url:
        with pytest.raises(error):
            await whole(transport, asking(url, read=0.2))
    assert transport._idle == []


async def test_an_answer_that_breaks_off(transport):
    async def breaks_off(stream):
        await stream.send_all(OK[:-1])

    async with running(Server(breaks_off)) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            await whole(transport, asking(url))


async def test_a_reset(transport):
    async def resets(stream):
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with running(Server(resets)) as url:
        with pytest.raises(httpx.ReadError, match="reset"):
            await whole(transport, asking(url))


async def test_an_answer_to_a_body_that_wasnt_read_to_its_end_is_heard(transport):
    class Refusing(Server):
        async def _request(self, stream):
            return (b"", b"") if b"\r\n\r\n" in await stream.receive_some() else None

    async def too_large(stream):
        await stream.send_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await stream.send_eof()
        while await stream.receive_some():
            if sent.is_set():
                break

    sent = trio.Event()
    async with running(Refusing(too_large)) as url, aclosing(large_body(sent.set)) as content:
        request = asking(url, content=content, **LARGE)
        assert await whole(transport, request) == (413, b"")
    assert transport._idle == []


@pytest.mark.parametrize("secure", [False, True])
async def test_an_answer_is_heard_though_the_server_doesnt_wait_for_the_body(secure):
    async def too_large(stream):
        await stream.send_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")

    tls, client = certified("127.0.0.1") if secure else (None, ANYONE)
    async with running(Hasty(too_large), tls) as url, aclosing(large_body()) as content:
        request = asking(url, content=content, **LARGE)
        assert await whole(Wire(client), request) == (413, b"no")


@pytest.mark.parametrize("secure", [False, True])
async def test_a_server_that_closes_amid_a_body_without_a_word(secure):
    tls, client = certified("127.0.0.1") if secure else (None, ANYONE)
    async with running(Hasty(None), tls) as url, aclosing(large_body()) as content:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError), match=r"\w"):
            await whole(Wire(client), asking(url, content=content, **LARGE))


async def test_a_server_that_takes_nothing(transport):
    async with running(Silent()) as url:
        with pytest.raises(httpx.WriteTimeout, match="took nothing"):
            await whole(transport, asking(url, content=b"x" * 20_000_000, read=0.2))


async def test_a_server_that_takes_it_slowly_is_still_there(autojump_clock):
    """The limit is for no progress at all, however large a piece of the body is."""

    class Slow:
        async def send_all(self, data):
            await trio.sleep(len(data) / 10_000)

    way: Any = SimpleNamespace(broken=None)
    stream: Any = Slow()
    connection = Connection(way, stream)
    await connection.send(asking("http://localhost", content=b"x" * 1_000_000), silence=10)
    assert trio.current_time() > 100


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {"X-Bad": "two\r\nlines"}),
        (b"body", {"Content-Length": "3"}),
        (b"body", {"Content-Length": "5"}),
    ],
)
async def test_a_request_that_would_be_wrong_isnt_sent(transport, content, headers):
    async with running(Server(OK)) as url:
        with pytest.raises(httpx.LocalProtocolError):
            await whole(transport, asking(url, content=content, **headers))
    assert transport._idle == []


async def test_nobody_there(transport):
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(httpx.ConnectError) as caught:
        await whole(transport, asking(f"http://127.0.0.1:{port}"))
    assert str(caught.value) == f"127.0.0.1:{port}: Connection refused"


async def test_no_such_name(transport):
    with pytest.raises(httpx.ConnectError, match=r"^no-such-host.invalid:8443: \w+"):
        await whole(transport, asking("https://no-such-host.invalid:8443"))


def certified(name):
    """The server's context, and the client's that trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(name).configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_tls(transport, host):
    tls, client = certified(host)
    trusting = Wire(client)
    server = Server(OK)
    async with running(server, tls, host) as url:
        for _ in range(2):
            assert await whole(trusting, asking(url, content=b"x")) == (200, b"ok")
        assert server.connections == 1
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await whole(transport, asking(url))
    await trusting.aclose()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_a_certificate_of_another_host(host):
    tls, client = certified("api.example.com")
    async with running(Server(OK), tls, host) as url:
        with pytest.raises(httpx.ConnectError, match="certificate is not valid for"):
            await whole(Wire(client), asking(url))


async def test_a_slow_way_may_take_its_time_for_tls_again(monkeypatch, virtual_clock):
    class Slow(Server):
        async def serve(self, stream):
            await trio.sleep(4)
            await super().serve(trio.SSLStream(stream, tls, server_side=True, https_compatible=True))

    async def connect(*args):
        await trio.sleep(4)
        return await connect_at_once(*args)

    tls, client = certified("127.0.0.1")
    connect_at_once = trio.open_tcp_stream
    monkeypatch.setattr(trio, "open_tcp_stream", connect)
    trusting = Wire(client)
    async with running(Slow(OK)) as url:
        assert await whole(trusting, asking(url.replace("http:", "https:"), connect=5.0)) == (200, b"ok")
    await trusting.aclose()


async def test_a_server_that_never_speaks_tls(transport):
    async with running(Silent()) as url:
        with pytest.raises(httpx.ConnectTimeout, match="no connection within"):
            await whole(transport, asking(url.replace("http:", "https:"), connect=0.2))
