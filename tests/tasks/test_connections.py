"""The client on real sockets: what a server, a resolver or a balancer may do, and what becomes of a request."""

import contextlib
import re
import ssl
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import trio
import trustme

from agent.config import Config
from agent.errors import LinkDown
from agent.link import http, network
from agent.link.http import Http

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LARGE_BYTES = 20_000_000
"""Of a body that no socket's buffer holds."""


class Server:
    """Answers each request with the next of `answers`, the last one again and again; None closes the connection."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.connections = 0
        self.requests = []
        self.packets = []

    async def serve(self, stream):
        self.connections += 1
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while (request := await self._request(stream)) is not None:
                self.requests.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    return
                if callable(answer):
                    await answer(stream)
                    return
                await stream.send_all(answer)

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
    """Answers as soon as something of a request is there."""

    async def _request(self, stream):
        await stream.receive_some()
        return (b"", b"")


async def resets(stream):
    below = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    below.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


async def large_body(size=LARGE_BYTES):
    for _ in range(0, size, 100_000):
        yield b"x" * min(size, 100_000)


@asynccontextmanager
async def running(server, tls=None, host="127.0.0.1"):
    """The server; gives its URL."""
    async with trio.open_nursery() as nursery:
        (tcp,) = await trio.open_tcp_listeners(0, host=host.replace("localhost", "127.0.0.1"))
        port = tcp.socket.getsockname()[1]
        listener = tcp if tls is None else trio.SSLListener(tcp, tls, https_compatible=True)
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"
        nursery.cancel_scope.cancel()


def configured(url, folder, **more):
    environ = {"KUBENTLY_API_URL": url, "CLUSTER_ID": "c1", "KUBENTLY_TOKEN": "t0ken", "KUBENTLY_ALLOW_HTTP": "true"}
    return Config.from_environ(environ | {"KUBENTLY_SPOOL_PATH": str(folder / "spool.db")} | more)


@pytest.fixture
def opened(tmp_path):
    """Clients of a URL, closed at the test's end."""

    @asynccontextmanager
    async def opened(url, authority=None, **more):
        if authority is not None:
            (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
            more["KUBENTLY_CA_CERT"] = str(tmp_path / "ca.pem")
        client = Http(configured(url, tmp_path, **more))
        try:
            with trio.fail_after(30):
                yield client
        finally:
            await client.aclose()

    return opened


async def ask(client, body=None, seconds=5.0, **more):
    answer = await client.request("POST", "/x", seconds=seconds, body=body, **more)
    return answer.status, answer.body


async def test_a_connection_serves_one_request_after_the_other(opened):
    server = Server(OK)
    async with running(server) as url, opened(url) as client:
        for number in range(3):
            assert await ask(client, b"%d" % number) == (200, b"ok")
    assert [body for _, body in server.requests] == [b"0", b"1", b"2"]
    assert server.connections == 1


async def test_a_small_request_is_one_packet(opened):
    server = Server(OK)
    async with running(server) as url, opened(url) as client:
        await ask(client, b"x" * 1000)
    assert len(server.packets) == 1


@pytest.mark.parametrize(
    "ends", [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"HTTP/1.0 200 OK\r\n\r\nok"]
)
async def test_a_connection_that_the_server_ends_is_not_used_again(opened, ends):
    async def answers_and_closes(stream):
        await stream.send_all(ends)

    server = Server(answers_and_closes)
    async with running(server) as url, opened(url) as client:
        for _ in range(2):
            assert await ask(client) == (200, b"ok")
    assert server.connections == 2


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("how", [None, resets])
@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_a_kept_connection_that_is_dead_is_no_outage(opened, how, size, secure):
    """As behind a NAT that has forgotten the flow."""
    server = Server(OK, how, OK)
    authority = trustme.CA() if secure else None
    tls = served_by(authority, "localhost") if authority else None
    async with running(server, tls, host="localhost") as url, opened(url, authority) as client:
        assert await ask(client) == (200, b"ok")
        assert await ask(client, partial(large_body, size), length=size) == (200, b"ok")
    assert server.connections == 2
    assert len(server.requests[-1][1]) == size, "all of it once more"


@pytest.mark.parametrize("how", [None, resets])
async def test_a_new_connection_that_dies_is_a_failure_at_once(opened, how):
    server = Server(how, OK)
    async with running(server) as url, opened(url) as client:
        with pytest.raises(LinkDown, match=r"\w"):
            await ask(client)
    assert len(server.requests) == 1


async def test_an_answer_that_began_is_not_asked_for_again(opened):
    async def breaks_off(stream):
        await stream.send_all(b"HTTP/1.1 200 O")

    server = Server(OK, breaks_off, OK)
    async with running(server) as url, opened(url) as client:
        await ask(client)
        with pytest.raises(LinkDown):
            await ask(client)
    assert len(server.requests) == 2


async def test_after_a_silence_no_kept_connection_is_trusted(opened):
    async def says_nothing(stream):
        await trio.sleep_forever()

    server = Server(OK, says_nothing, OK)
    async with running(server) as url, opened(url) as client:
        await ask(client)
        with pytest.raises(LinkDown, match=r"no answer within 0\.2 s"):
            await ask(client, seconds=0.2)
        assert await ask(client) == (200, b"ok")
    assert server.connections == 2


async def test_an_answer_that_trickles_is_given_up(opened, virtual_clock):

    async def trickles(stream):
        await trio.sleep(4)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(2)

    async with running(Server(trickles)) as url, opened(url) as client:
        began = trio.current_time()
        with pytest.raises(LinkDown, match="no whole answer in time"):
            await ask(client)
        assert trio.current_time() - began < 4 + http.WHOLE_SECONDS + 0.5


async def test_an_old_connection_is_not_used(opened, monkeypatch):
    monkeypatch.setattr(http, "_KEPT", httpx.Limits(keepalive_expiry=-1))
    server = Server(OK)
    async with running(server) as url, opened(url) as client:
        for _ in range(2):
            assert await ask(client) == (200, b"ok")
    assert server.connections == 2


async def test_a_body_where_there_can_be_none_isnt_taken_for_the_next_answer(opened):
    server = Server(b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nnull")
    async with running(server) as url, opened(url) as client:
        for _ in range(2):
            assert await ask(client) == (204, b"")
    assert server.connections == 2


async def test_connections_with_requests_under_way_outlive_the_end_of_the_others(opened):
    begun, go_on = trio.Event(), trio.Event()

    async def slow(stream):
        begun.set()
        await go_on.wait()
        await stream.send_all(OK)

    server = Server(slow, OK)
    async with running(server) as url, opened(url) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client)
        await begun.wait()
        client.network.renew()
        assert await ask(client) == (200, b"ok")
        go_on.set()


SHAPES = [
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\nX-Folded: a\n  b\nContent-Length: 2\n\nok",
]


@pytest.mark.parametrize("answer", SHAPES)
@pytest.mark.parametrize("step", [1, 100_000])
async def test_answers_in_other_shapes(opened, answer, step):
    async def in_steps(stream):
        for at in range(0, len(answer), step):
            await stream.send_all(answer[at : at + step])
            await trio.sleep(0)

    async with running(Server(in_steps)) as url, opened(url) as client:
        assert await ask(client) == (200, b"ok")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbut",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
        OK[:-1],
    ],
)
async def test_what_is_no_answer(opened, answer):
    async def answers_and_waits(stream):
        await stream.send_all(answer)
        await trio.sleep(0.5)

    server = Server(answer and answers_and_waits)
    async with running(server) as url, opened(url) as client:
        with pytest.raises(LinkDown, match=r"\w"):
            await ask(client, seconds=0.2)


@pytest.mark.parametrize("secure", [False, True])
async def test_an_answer_is_heard_though_the_server_doesnt_wait_for_the_body(opened, secure):
    async def too_large(stream):
        await stream.send_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")

    authority = trustme.CA() if secure else None
    tls = served_by(authority, "localhost") if authority else None
    async with running(Hasty(too_large), tls, host="localhost") as url, opened(url, authority) as client:
        assert await ask(client, large_body, length=LARGE_BYTES) == (413, b"no")


@pytest.mark.parametrize("secure", [False, True])
async def test_a_server_that_closes_amid_a_body_without_a_word(opened, secure):
    authority = trustme.CA() if secure else None
    tls = served_by(authority, "localhost") if authority else None
    async with running(Hasty(None), tls, host="localhost") as url, opened(url, authority) as client:
        with pytest.raises(LinkDown, match=r"\w"):
            await ask(client, large_body, length=LARGE_BYTES)


async def test_a_server_that_takes_nothing(opened, monkeypatch):
    monkeypatch.setattr(network, "WRITE_SECONDS", 0.1)
    async with running(Silent()) as url, opened(url) as client:
        with pytest.raises(LinkDown, match=r"100\d\d\d bytes weren\'t taken within 0\.15\d+ s"):
            await ask(client, large_body, length=LARGE_BYTES)


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (b"", {"headers": {"X-Bad": "two\r\nlines"}}),
        (large_body, {"length": 3}),
        (partial(large_body, 1000), {"length": 1001}),
    ],
)
async def test_a_request_that_would_be_wrong_fails(opened, content, more):
    async with running(Server(OK)) as url, opened(url) as client:
        with pytest.raises(LinkDown, match="LocalProtocolError"):
            await ask(client, content, **more)


async def test_nobody_there(opened):
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with opened(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(LinkDown) as caught:
            await ask(client)
    assert caught.value.problem == f"127.0.0.1:{port}: Connection refused"


async def test_of_several_addresses_the_one_that_was_good_last_is_tried_first(
    opened, resolver, monkeypatch, virtual_clock
):
    """A dead one costs a part of the time for all of them, once."""
    tried, connect = [], trio.open_tcp_stream

    async def some_are_dead(address, port):
        tried.append(address)
        if address == "::1":
            await trio.sleep_forever()
        return await connect(address, port)

    resolver.addresses = ["::1", "127.0.0.2", "127.0.0.1"]
    monkeypatch.setattr(trio, "open_tcp_stream", some_are_dead)
    async with running(Server(OK)) as url, opened(url.replace("127.0.0.1", "api.example")) as client:
        for _ in range(2):
            assert await ask(client) == (200, b"ok")
            client.network.renew()
        assert tried == ["::1", "127.0.0.2", "127.0.0.1", "127.0.0.1"]
        assert trio.current_time() < 5


async def test_a_name_that_nobody_knows(opened):
    async with opened("https://no-such-host.invalid:8443") as client:
        with pytest.raises(LinkDown, match=r"^the name no-such-host\.invalid can't be looked up: \w+"):
            await ask(client)


@pytest.mark.parametrize("why", [RuntimeError("can't start new thread"), UnicodeError("label too long")])
async def test_a_look_up_that_cant_be_done_is_an_outage(opened, monkeypatch, why):
    async def fails(*_, **__):
        raise why

    monkeypatch.setattr(trio.to_thread, "run_sync", fails)
    async with opened("http://api.example") as client:
        with pytest.raises(LinkDown, match=f"the name api.example can't be looked up: {why}"):
            await ask(client)


class Resolver:
    """The system's, without a thread: it answers after so many seconds."""

    def __init__(self):
        self.addresses = ["127.0.0.1"]
        self.seconds = 0.0
        self.asked = []

    async def __call__(self, _, name, *__, **___):
        self.asked.append(name)
        await trio.sleep(self.seconds)
        return [(0, 0, 0, "", (address, 0)) for address in self.addresses]


@pytest.fixture
def resolver(monkeypatch):
    resolver = Resolver()
    monkeypatch.setattr(trio.to_thread, "run_sync", resolver)
    return resolver


async def test_a_look_up_may_take_its_time_and_the_request_all_of_its_own(opened, resolver, virtual_clock):
    async def answers_late(stream):
        await trio.sleep(4)
        await stream.send_all(OK)

    resolver.seconds = network.NAME_SECONDS - 1
    async with running(Server(answers_late)) as url, opened(url.replace("127.0.0.1", "api.example")) as client:
        assert await ask(client) == (200, b"ok")


async def test_a_look_up_that_never_ends_is_told_as_one(opened, resolver, virtual_clock):
    resolver.seconds = 1e9
    async with opened("http://api.example") as client:
        with pytest.raises(LinkDown, match=r"the name api\.example can't be looked up: no answer within 18 s"):
            await ask(client)


async def test_the_last_good_address_is_remembered(opened, resolver, virtual_clock):
    async with running(Server(OK)) as url, opened(url.replace("127.0.0.1", "api.example")) as client:
        for resolver.seconds in (0, 1e9):
            assert await ask(client) == (200, b"ok")
            client.network.renew()


def served_by(authority, name):
    """A server's TLS with a certificate for this name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server)
    return server


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_tls(opened, host):
    authority = trustme.CA()
    server = Server(OK)
    async with running(server, served_by(authority, host), host) as url, opened(url, authority) as client:
        for _ in range(2):
            assert await ask(client, b"x") == (200, b"ok")
        assert client.network.certificate["notAfter"]
        assert server.connections == 1
        async with opened(url) as other:
            with pytest.raises(LinkDown, match="isn't trusted"):
                await ask(other)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_a_certificate_of_another_host(opened, host):
    authority = trustme.CA()
    async with (
        running(Server(OK), served_by(authority, "api.example.com"), host) as url,
        opened(url, authority) as client,
    ):
        with pytest.raises(LinkDown, match="certificate is not valid for"):
            await ask(client)


async def test_a_host_with_a_dot_at_its_end_is_the_same_host(opened, resolver):
    """Its look-up tries no search domains; certificates, TLS and HTTP have names without the dot."""
    authority, server = trustme.CA(), Server(OK)
    async with (
        running(server, served_by(authority, "localhost"), "localhost") as url,
        opened(url.replace("localhost", "localhost."), authority) as client,
    ):
        assert await ask(client) == (200, b"ok")
    assert resolver.asked == [b"localhost."]
    assert b"\r\nHost: localhost:" in server.requests[0][0]


async def test_a_scheme_in_capitals_is_the_same_scheme(opened):
    authority = trustme.CA()
    async with (
        running(Server(OK), served_by(authority, "localhost"), "localhost") as url,
        opened(url.replace("https", "HTTPS"), authority) as client,
    ):
        assert await ask(client) == (200, b"ok")


async def test_tls_may_take_its_time_too(opened, virtual_clock):
    class Slow(Server):
        async def serve(self, stream):
            await trio.sleep(network.TLS_SECONDS - 1)
            await super().serve(trio.SSLStream(stream, tls, server_side=True, https_compatible=True))

    authority = trustme.CA()
    tls = served_by(authority, "127.0.0.1")
    async with running(Slow(OK)) as url, opened(url.replace("http:", "https:"), authority) as client:
        assert await ask(client, seconds=2) == (200, b"ok")


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (Silent(), "no end of the TLS handshake"),
        (Hasty(OK), "doesn't speak TLS"),
        (Hasty(None), r"the TLS handshake failed: \w"),
    ],
)
async def test_a_server_that_never_speaks_tls(opened, monkeypatch, server, says):
    monkeypatch.setattr(network, "TLS_SECONDS", 0.2)
    async with running(server) as url, opened(url.replace("http:", "https:")) as client:
        with pytest.raises(LinkDown, match=says):
            await ask(client)


async def test_a_request_that_is_cancelled_amid_the_handshake_leaves_nothing(opened):
    async with running(Silent()) as url, opened(url.replace("http:", "https:")) as client:
        with trio.move_on_after(0.1) as scope:
            await ask(client)
        assert scope.cancelled_caught


async def test_tls_through_a_proxy_that_speaks_tls_itself(opened, monkeypatch, tmp_path):
    async def tunnel(stream):
        assert (await stream.receive_some()).startswith(b"CONNECT api.example:")
        await stream.send_all(b"HTTP/1.1 200 Connection Established\r\n\r\n")
        async with await trio.open_tcp_stream("127.0.0.1", port) as far, trio.open_nursery() as nursery:
            nursery.start_soon(one_way, stream, far)
            await one_way(far, stream)
            nursery.cancel_scope.cancel()

    async def one_way(source, sink):
        while data := await source.receive_some():
            await sink.send_all(data)

    async def proxy(stream):
        with contextlib.suppress(trio.BrokenResourceError):
            await tunnel(trio.SSLStream(stream, served_by(authority, "localhost"), server_side=True))

    authority, server = trustme.CA(), Server(OK)
    async with running(server, served_by(authority, "api.example")) as url, trio.open_nursery() as nursery:
        port = int(url.rpartition(":")[2])
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, proxy, [listener])
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{listener.socket.getsockname()[1]}")
        async with opened(f"https://api.example:{port}", authority) as client:
            for _ in range(2):
                assert await ask(client, b"x") == (200, b"ok")
        nursery.cancel_scope.cancel()
    assert server.connections == 1
