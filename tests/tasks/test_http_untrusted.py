"""What an API, or whatever answers in its place, may send without doing harm."""

import gzip
from functools import partial

import httpx
import pytest
import trio

from agent.config import Config
from agent.errors import LinkDown
from agent.link import Verdict, open_link
from agent.link.credentials import Token
from agent.link.http import EVENTS, MAX_BODY_BYTES, WHOLE_SECONDS, Http
from agent.link.poll import PollLink
from agent.model import Outcome, Result
from tests.tasks.fakes import FakeReadyResult

TOKEN = "t0ken-that-nobody-may-see"
OK = Result(Outcome.SUCCEEDED, exit_code=0)


def configured(folder, url, link="poll"):
    return Config.from_environ(
        {
            "KUBENTLY_LINK": link,
            "KUBENTLY_API_URL": url,
            "CLUSTER_ID": "prod",
            "KUBENTLY_TOKEN": TOKEN,
            "KUBENTLY_SPOOL_PATH": str(folder / "spool.db"),
        }
    )


@pytest.fixture
def api(routes):
    return routes


@pytest.fixture
async def link(api, tmp_path):
    link = PollLink(Http(configured(tmp_path, "http://localhost:1/base")))
    yield link
    await link.aclose()


async def test_too_large_is_too_large_though_a_proxy_says_it(link, api):
    """As nginx does by default beyond 1 MB."""
    page = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n"
    api.post("/agent/results").respond(413, html=page)
    assert (await link.deliver(FakeReadyResult(OK))).verdict is Verdict.TOO_LARGE


@pytest.mark.parametrize(
    "after", ["Mon, 01 Jan 2024 00:00:00 +9" + "9" * 30, "Mon, 01 Jan 2024 9" + "9" * 30 + ":0:0 GMT"]
)
async def test_a_retry_after_of_no_time_on_earth(link, api, after):
    api.post("/agent/results").respond(503, headers={"Retry-After": after})
    reply = await link.deliver(FakeReadyResult(OK))
    assert (reply.verdict, reply.retry_after) == (Verdict.LATER, None)


@pytest.mark.parametrize("status", [302, 400, 401, 413, 500])
async def test_a_token_that_is_sent_back_is_told_to_nobody(link, api, status):
    api.post("/agent/results").respond(status, text=f"who is Bearer {TOKEN}?")
    words = (await link.deliver(FakeReadyResult(OK))).words
    assert TOKEN not in words
    assert status == 302 or "who is Bearer (token)?" in words


async def test_nor_in_what_the_http_library_complains_of(tmp_path):
    async def answer(stream):
        await stream.receive_some()
        await stream.send_all(f"HTTP/1.1 2x0 Bearer {TOKEN}\r\n\r\n".encode())

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        http = Http(configured(tmp_path, f"http://127.0.0.1:{listener.socket.getsockname()[1]}"))
        with pytest.raises(LinkDown) as caught:
            await http.request("GET", "/", seconds=5)
        assert "(token)" in caught.value.problem
        assert TOKEN not in caught.value.problem
        await http.aclose()
        nursery.cancel_scope.cancel()


async def test_nor_in_what_the_http_library_complains_of_amid_a_stream(tmp_path):
    async def answer(stream):
        await stream.receive_some()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {EVENTS}\r\nTransfer-Encoding: chunked\r\n\r\n"
        await stream.send_all(f"{head}Bearer {TOKEN}\r\n".encode())

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        http = Http(configured(tmp_path, f"http://127.0.0.1:{listener.socket.getsockname()[1]}"))
        stream = await http.open_stream("/", seconds=5)
        with pytest.raises(LinkDown) as caught:
            await stream.read(5)
        assert "(token)" in caught.value.problem
        await stream.aclose()
        await http.aclose()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("text", ["two\nlines", "two words", "nul\0", "bell\a"])
async def test_a_rotated_file_that_holds_no_token_is_never_quoted(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(LinkDown) as caught:
        Token(None, file).current()
    assert text not in caught.value.problem
    file.write_text("first")
    token = Token(None, file)
    assert token.current() == "first"
    file.write_text(text + "longer")
    assert token.current() == "first", "the old one is still the best there is"


PACKED = gzip.compress(b'{"commands": [{"id": "a", "args": ["get", "pods"]}]}', mtime=0)


def coded(api, coding, body):
    response = httpx.Response(200, headers={"Content-Encoding": coding}, stream=httpx.ByteStream(body))
    api.get("/agent/commands").mock(return_value=response)


async def test_a_coding_that_nobody_asked_for_is_undone(link, api):
    coded(api, "gzip", PACKED)
    assert [c.id for c in (await link.receive(eager=True)).commands] == ["a"]


@pytest.mark.parametrize("body", [PACKED[:-9], gzip.compress(b" " * (MAX_BODY_BYTES + 1))], ids=["cut", "bomb"])
async def test_a_coding_that_cant_be_undone_is_named(link, api, body):
    coded(api, "gzip", body)
    with pytest.raises(LinkDown, match="HTTP 200, coded as 'gzip' though Accept-Encoding says identity") as down:
        await link.receive(eager=True)
    assert down.value.status == 200


async def test_cookies_are_neither_kept_nor_sent(link, api):
    api.post("/agent/results").mock(return_value=httpx.Response(200, headers={"Set-Cookie": "session=1"}))
    for _ in range(2):
        await link.deliver(FakeReadyResult(OK))
    assert "cookie" not in api.calls.last.request.headers


async def test_nothing_is_asked_for_that_couldnt_be_read(link, api):
    """A proxy may compress commands if nobody says that it mustn't."""
    api.get("/agent/commands").respond(204)
    await link.receive(eager=True)
    headers = api.calls.last.request.headers
    assert headers["accept-encoding"] == "identity"
    assert not {"accept", "connection"} & set(headers)


@pytest.mark.parametrize("name", ["poll", "stream"])
async def test_an_answer_that_has_begun_is_read_through_a_cancel_for_a_while(tmp_path, name, virtual_clock):
    begun = trio.Event()

    async def answer(stream):
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
        begun.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        link = open_link(configured(tmp_path, f"http://127.0.0.1:{listener.socket.getsockname()[1]}", name))

        async def ask():
            with trio.CancelScope() as scope:
                scopes.append(scope)
                assert (await link.deliver(FakeReadyResult(OK))).verdict is Verdict.LATER
            ended.set()

        scopes: list[trio.CancelScope] = []
        ended = trio.Event()
        nursery.start_soon(ask)
        await begun.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not ended.is_set()
        with trio.fail_after(WHOLE_SECONDS + 1):
            await ended.wait()
        await link.aclose()
        nursery.cancel_scope.cancel()
