"""Large results over bad lines: as long as there is progress they are waited for, and nothing else waits for them.

Real sockets, and a clock that jumps whenever they are idle: the times below are the line's own.
"""

import re

import pytest
import trio

from agent.config import Config
from agent.link import Verdict, open_link
from agent.model import Outcome, Result
from tests.kit.line import Line
from tests.tasks.fakes import FakeReadyResult

OK = Result(Outcome.SUCCEEDED, exit_code=0)
STATUS = b'{"cluster_id": "c1", "is_active": true, "queue_depth": 0}'


class Api:
    """Takes results whole, and has no commands."""

    def __init__(self, port):
        self.port = port
        self.sizes = []

    async def serve(self, stream):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = await stream.receive_some()
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            length = int((re.search(rb"content-length: (\d+)", head, re.IGNORECASE) or [0, 0])[1])
            while len(data) < length:
                data += await stream.receive_some()
            data = data[length:]
            if length:
                self.sizes.append(length)
            body = STATUS if b"/status " in head else b'{"commands": []}' if b"/commands" in head else b"{}"
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture
async def api(nursery):
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    api = Api(listener.socket.getsockname()[1])
    nursery.start_soon(trio.serve_listeners, api.serve, [listener])
    return api


@pytest.fixture(params=["poll", "stream"])
def link_to(request, tmp_path):
    def link_to(url):
        environ = {
            "KUBENTLY_API_URL": url,
            "KUBENTLY_LINK": request.param,
            "CLUSTER_ID": "c1",
            "KUBENTLY_TOKEN": "t0ken",
            "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db"),
        }
        return open_link(Config.from_environ(environ))

    return link_to


@pytest.mark.parametrize(("kbit", "size", "loss"), [(256, 1_000_000, 0.05), (64, 150_000, 0.0), (10, 60_000, 0.0)])
async def test_a_large_result_arrives_in_its_lines_own_time(api, link_to, virtual_clock, kbit, size, loss):
    speed = kbit * 1000 / 8
    line = Line(api.port, bytes_per_second=speed, delay=0.5, loss=loss, packet=16_384)
    async with line.open() as url:
        link = link_to(url)
        began = trio.current_time()
        reply = await link.deliver(FakeReadyResult(OK, stdout=["x" * 50_000] * (size // 50_000)))
        assert (reply.verdict, reply.words) == (Verdict.STORED, "")
        assert trio.current_time() - began < 1.5 * size / speed + 2
        await link.aclose()
    assert len(api.sizes) == 1, "at the first attempt"


async def test_a_small_one_and_a_poll_pass_it(api, link_to, virtual_clock):
    line = Line(api.port, bytes_per_second=32_000, delay=0.5, loss=0.05, packet=8192)
    async with line.open() as url, trio.open_nursery() as nursery:
        link = link_to(url)
        nursery.start_soon(link.deliver, FakeReadyResult(OK, stdout=["x" * 50_000] * 12))
        await trio.sleep(5)
        began = trio.current_time()
        assert (await link.deliver(FakeReadyResult(OK, stdout=["small"]))).verdict is Verdict.STORED
        if link.pulls:
            await link.receive(eager=True)
        assert trio.current_time() - began < 10
        assert len(api.sizes) == 1, "and it is still on its way"
    await link.aclose()


async def test_a_line_that_is_dead_is_given_up(api, link_to, virtual_clock):
    line = Line(api.port, bytes_per_second=32_000, loss=1.0, resend=1e6)
    async with line.open() as url:
        link = link_to(url)
        began = trio.current_time()
        reply = await link.deliver(FakeReadyResult(OK, stdout=["x" * 50_000] * 20))
        assert reply.verdict is Verdict.LATER
        assert trio.current_time() - began < 150
        await link.aclose()
