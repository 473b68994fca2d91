"""The stream contract on a mocked transport, with a clock that jumps: what is asked, and what each answer means."""

import gc
import json
import math
from datetime import UTC, datetime

import httpx
import pytest
import trio
import trio.testing

from agent import __version__
from agent.config import Config
from agent.errors import LinkDown
from agent.link import Verdict, open_link
from agent.link.http import Http
from agent.link.stream import FIRST_SECONDS, SILENCE_SECONDS, STEADY_SECONDS, StreamLink
from agent.model import Capabilities, Malformed, Outcome, Result
from tests.tasks.fakes import FakeReadyResult

OK = Result(Outcome.SUCCEEDED, exit_code=0, execution_time_ms=12, output_bytes=5)
CONNECTED = b'event: connected\r\ndata: {"status": "connected"}\r\n\r\n'
PING = b": ping - 2026-01-31 12:00:00+00:00\r\n\r\n"
HELM = "A release is in the cluster as objects: `kubectl get all -l app.kubernetes.io/instance=NAME` shows it."
CAN = Capabilities(("get",), ("secrets",), ("--namespace",))


def command(command_id="c1", **fields) -> bytes:
    body = {"id": command_id, "args": ["get", "pods"], "timeout": 5, **fields}
    return b"event: command\r\ndata: " + json.dumps(body).encode() + b"\r\n\r\n"


class Wire(httpx.AsyncByteStream):
    """One stream's bytes, as the test sends them."""

    def __init__(self):
        self._send, self._receive = trio.open_memory_channel[bytes | Exception](math.inf)
        self.closed = False

    def send(self, chunk: bytes | Exception) -> None:
        self._send.send_nowait(chunk)

    def end(self) -> None:
        self._send.close()

    async def __aiter__(self):
        async for chunk in self._receive:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self.closed = True
        self._receive.close()


class Api:
    """The stream's end, and the router for the rest."""

    def __init__(self, router):
        self.router = router
        self.wires: list[Wire] = []
        self.refusals: list[httpx.Response | Exception] = []
        """Answers to the next openings, before streams are given again."""
        self.tried_at: list[float] = []
        self.greets = True
        router.get("/executor/stream").mock(side_effect=self._open)
        router.post("/executor/results").respond(json={"status": "accepted"})

    def _open(self, request):
        self.tried_at.append(trio.current_time())
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Exception):
                raise refusal
            return refusal
        self.wires.append(Wire())
        if self.greets:
            self.wire.send(CONNECTED)
        return httpx.Response(200, headers={"Content-Type": "text/event-stream; charset=utf-8"}, stream=self.wires[-1])

    @property
    def wire(self) -> Wire:
        return self.wires[-1]

    def tokens(self):
        return [
            call.request.headers["authorization"].removeprefix("Bearer ")
            for call in self.router.calls
            if call.request.url.path.endswith("/stream")
        ]


@pytest.fixture
def environ(tmp_path):
    return {
        "KUBENTLY_API_URL": "http://localhost:1/base",
        "CLUSTER_ID": "prod",
        "KUBENTLY_TOKEN": "t0ken",
        "KUBENTLY_LINK": "stream",
        "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db"),
    }


@pytest.fixture
def token_file(environ, tmp_path):
    del environ["KUBENTLY_TOKEN"]
    path = tmp_path / "token"
    path.write_text("first\n")
    environ["KUBENTLY_TOKEN_FILE"] = str(path)
    return path


@pytest.fixture
def api(routes):
    return Api(routes)


@pytest.fixture(autouse=True)
def chance(monkeypatch):
    monkeypatch.setattr("agent.link.stream.random", lambda: 0.5)


@pytest.fixture
async def link(environ, api, token_file_wanted):
    link = StreamLink(Http(Config.from_environ(environ)))
    yield link
    await link.aclose()


@pytest.fixture
def token_file_wanted(request):
    """The token's file, for tests that rotate it, before the configuration is read."""
    return request.getfixturevalue("token_file") if "token_file" in request.fixturenames else None


async def opened(link, api):
    batch = await link.receive(eager=True)
    assert (batch.commands, batch.malformed, batch.skipped) == ([], [], 0)
    return api.wire


async def test_the_stream_says_who_asks_and_for_what(link, api):
    await opened(link, api)
    headers = api.router.calls.last.request.headers
    assert headers["authorization"] == "Bearer t0ken"
    assert headers["x-cluster-id"] == "prod"
    assert headers["user-agent"] == f"kubently-agent/{__version__}"
    assert headers["accept"] == "text/event-stream"
    assert headers["accept-encoding"] == "identity"


async def test_commands_come_as_they_are_pushed(link, api, autojump_clock):
    wire = await opened(link, api)
    wire.send(CONNECTED)
    assert (await link.receive(eager=False)).commands == []
    wire.send(command("a", correlation_id="k", session_id="s") + command("b"))
    batch = await link.receive(eager=False)
    assert [(c.id, c.correlation_id, c.session_id) for c in batch.commands] == [("a", "k", "s"), ("b", None, None)]
    assert len(api.wires) == 1, "one connection for all"


async def test_an_event_in_pieces_is_one_command(link, api, autojump_clock):
    wire = await opened(link, api)
    for piece in (CONNECTED[:9], CONNECTED[9:] + PING + command("a")[:20], command("a")[20:-2]):
        wire.send(piece)
        assert (await link.receive(eager=False)).commands == []
    wire.send(command("a")[-2:] + b"event: x")
    assert [c.id for c in (await link.receive(eager=False)).commands] == ["a"]


async def test_what_is_no_command_is_answered_or_counted(link, api, autojump_clock):
    wire = await opened(link, api)
    wire.send(
        command("tool", tool="helm", args=None)
        + command("kubectl", tool="kubectl")
        + command(7)
        + b"event: command\ndata: {broken\n\n"
        + b"event: command\ndata: " + b"[" * 100_000 + b"\n\n"
        + b"event: command\ndata: " + b"x" * 300_000 + b"\n\n"
        + b"event: unheard-of\ndata: {}\n\n"
        + b"event: keepalive\ndata: {broken\n\n"
    )  # fmt: skip
    batch = await link.receive(eager=False)
    assert batch.malformed == [
        Malformed("tool", (), reason=f"This agent runs kubectl and log_search, not the tool 'helm'. {HELM}")
    ]
    assert [c.id for c in batch.commands] == ["kubectl"]
    assert batch.skipped == 4


@pytest.mark.parametrize(("asked", "granted"), [(None, None), (0, None), (1, 0.9), (10, 9), (1e9, 9e8)])
async def test_a_command_ends_while_the_api_still_waits_for_it(link, api, autojump_clock, asked, granted):
    wire = await opened(link, api)
    wire.send(command("a", timeout=asked))
    (found,) = (await link.receive(eager=False)).commands
    assert found.timeout == granted


async def test_a_ping_is_a_sign_of_life(link, api, autojump_clock):
    wire = await opened(link, api)
    for _ in range(100):
        await trio.sleep(30)  # longer than the limit altogether, yet never silent for so long while it is read
        wire.send(PING)
        assert (await link.receive(eager=False)).commands == []
    assert len(api.wires) == 1


async def test_silence_ends_the_stream_and_another_is_opened_at_once(link, api, autojump_clock):
    wire = await opened(link, api)
    began = trio.current_time()
    assert (await link.receive(eager=False)).commands == []
    assert wire.closed
    assert api.tried_at == [began, began + SILENCE_SECONDS]
    api.wire.send(command("a"))
    assert [c.id for c in (await link.receive(eager=False)).commands] == ["a"]


@pytest.mark.parametrize("how", [None, httpx.ReadError("reset"), httpx.RemoteProtocolError("incomplete chunked read")])
async def test_a_lost_connection_is_made_again_at_once(link, api, autojump_clock, how):
    wire = await opened(link, api)
    await trio.sleep(STEADY_SECONDS)
    began = trio.current_time()
    wire.send(CONNECTED + command("a"))
    wire.send(command("half")[:-4])
    if how is not None:
        wire.send(how)
    wire.end()
    assert [c.id for c in (await link.receive(eager=False)).commands] == ["a"]
    assert (await link.receive(eager=False)).commands == []
    assert (await link.receive(eager=False)).commands == []
    assert wire.closed
    assert api.tried_at[-1] == began
    api.wire.send(b'"}\r\n\r\n' + command("b"))
    assert [c.id for c in (await link.receive(eager=False)).commands] == ["b"], "half an event isn't kept"


async def test_when_the_next_stream_fails_too_the_outage_sets_the_pace(link, api, autojump_clock):
    wire = await opened(link, api)
    await trio.sleep(60)
    wire.end()
    api.refusals += [httpx.ConnectError("refused"), httpx.Response(503, headers={"Retry-After": "7"})]
    with pytest.raises(LinkDown, match="refused") as down:
        await link.receive(eager=False)
    assert down.value.retry_after is None
    with pytest.raises(LinkDown, match="HTTP 503") as down:
        await link.receive(eager=True)
    assert down.value.retry_after == 7
    await opened(link, api)


async def test_streams_that_end_as_they_begin_are_opened_ever_more_slowly(link, api, autojump_clock):
    pauses = []
    for _ in range(6):
        wire = await opened(link, api)
        wire.send(CONNECTED)
        await link.receive(eager=False)
        wire.end()
        with pytest.raises(LinkDown, match="soon after it began: the API has ended the stream") as down:
            await link.receive(eager=False)
        pauses.append(down.value.retry_after)
    assert pauses == [0.5, 1, 2, 4, 5, 5], "half of 1, 2, 4, 8, 10 and 10 s"
    wire = await opened(link, api)
    await trio.sleep(STEADY_SECONDS)
    wire.end()
    await link.receive(eager=False)
    api.wire.end()
    with pytest.raises(LinkDown) as down:
        await link.receive(eager=False)
    assert down.value.retry_after == 0.5, "a stream that lasted ends the series"


@pytest.mark.parametrize(
    ("answer", "words", "refused"),
    [
        (httpx.Response(401, json={"detail": "Invalid executor credentials"}), "HTTP 401: .*Invalid", True),
        (httpx.Response(403), "HTTP 403", True),
        (httpx.Response(404, json={"detail": "Not Found"}), "HTTP 404", False),
        (httpx.Response(204), "HTTP 204", False),
        (httpx.Response(302, headers={"Location": "http://attacker"}), "redirect", False),
        (httpx.Response(502, html="<html>"), "HTML", False),
        (httpx.Response(200, html="<html>"), "HTTP 200 with text/html", False),
        (httpx.Response(200, content=b"x"), "HTTP 200 with no content type", False),
        (
            httpx.Response(200, headers={"Content-Type": "text/event-stream", "Content-Encoding": "br"}, content=b"x"),
            r"text/event-stream \(br\)",
            False,
        ),
        (httpx.ConnectTimeout("slow"), "slow", False),
    ],
)
async def test_whatever_is_no_stream_is_a_failure(link, api, answer, words, refused):
    api.refusals.append(answer)
    with pytest.raises(LinkDown, match=words) as down:
        await link.receive(eager=False)
    assert down.value.refused is refused


async def test_an_answer_that_does_not_come_is_not_waited_for(link, api, autojump_clock):
    async def never(request):
        await trio.sleep_forever()

    api.router.get("/executor/stream").mock(side_effect=never)
    began = trio.current_time()
    with pytest.raises(LinkDown, match="no whole answer in time"):
        await link.receive(eager=False)
    assert trio.current_time() - began == 48


async def test_a_head_alone_is_no_stream(link, api, autojump_clock):
    """As from a proxy that buffers."""
    api.greets = False
    began = trio.current_time()
    with pytest.raises(LinkDown, match="the stream began, and then nothing came for 20 s") as down:
        await link.receive(eager=True)
    assert "buffer it" in down.value.hint
    assert trio.current_time() - began == FIRST_SECONDS
    assert api.wire.closed


async def test_a_comment_opens_it_too_and_what_comes_with_it_counts(link, api, autojump_clock):
    api.greets = False
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ping():
            await trio.sleep(15)
            api.wire.send(PING[:5])
            await trio.sleep(1)
            api.wire.send(PING[5:] + command("a"))

        assert [c.id for c in (await link.receive(eager=True)).commands] == ["a"]


@pytest.mark.parametrize("end", [None, httpx.ReadError("reset")])
async def test_one_that_ends_before_anything_came_is_opened_ever_more_slowly(link, api, autojump_clock, end):
    api.greets = False
    pauses = []
    for _ in range(3):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def cut():
                await trio.sleep(0)
                if end:
                    api.wire.send(end)
                api.wire.end()

            with pytest.raises(LinkDown, match="soon after it began") as down:
                await link.receive(eager=True)
        pauses.append(down.value.retry_after)
    assert pauses == [0.5, 1, 2]


async def test_one_that_ends_long_after_its_head_is_a_failure_like_any_other(link, api, autojump_clock):
    api.greets = False
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def cut():
            await trio.sleep(STEADY_SECONDS + 1)
            api.wire.end()

        with pytest.raises(LinkDown, match=r"^the API has ended the stream") as down:
            await link.receive(eager=True)
    assert down.value.retry_after is None


async def test_a_stop_amid_the_opening_closes_it(link, api, autojump_clock):
    api.greets = False
    with trio.move_on_after(1):
        await link.receive(eager=True)
    assert api.wire.closed


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (httpx.Response(200, json={"status": "success"}), True),
        (httpx.Response(200, json={"status": "not_found"}), True),
        (httpx.Response(200, json={"status": "maintenance"}), False),
        (httpx.Response(200, text="OK"), False),
        (httpx.Response(200, json=[1]), False),
        (httpx.Response(204), False),
        (httpx.Response(404, json={"detail": "Not Found"}), False),
    ],
)
async def test_a_heartbeat_tells_whether_it_is_the_api(link, api, answer, known):
    api.router.post("/executor/heartbeat").mock(side_effect=[answer])
    assert await link.recognise() is known


async def test_a_heartbeat_that_nobody_answers_is_a_failure(link, api):
    api.router.post("/executor/heartbeat").mock(side_effect=httpx.ConnectError("refused"))
    with pytest.raises(LinkDown, match="refused"):
        await link.recognise()


async def test_a_stop_closes_the_stream(link, api, autojump_clock):
    wire = await opened(link, api)
    with trio.move_on_after(1):
        await link.receive(eager=False)
    assert wire.closed


async def test_a_rotated_token_opens_another_stream(link, api, token_file, autojump_clock):
    wire = await opened(link, api)
    token_file.write_text("second\n")
    wire.send(PING)
    await link.receive(eager=False)
    assert wire.closed
    assert api.tokens() == ["first", "second"], "though the first had lived for a moment only"
    api.wire.send(command("a"))
    assert [c.id for c in (await link.receive(eager=False)).commands] == ["a"]


async def test_commands_that_came_before_the_rotation_are_taken(link, api, token_file, autojump_clock):
    wire = await opened(link, api)
    wire.send(command("a"))
    assert [c.id for c in (await link.receive(eager=False)).commands] == ["a"]
    token_file.write_text("second\n")
    await link.receive(eager=False)
    assert api.tokens() == ["first", "second"]


@pytest.fixture
def withdrawn(api):
    """The API takes this token no more, but goes on serving its stream."""
    words = {"detail": "Invalid executor credentials"}
    return [api.router.post(f"/executor/{route}").respond(401, json=words) for route in ("results", "heartbeat")]


async def test_a_401_for_a_result_alone_ends_no_stream(link, api, autojump_clock):
    """Something may dislike its text; what the API sends meanwhile would be lost."""
    wire = await opened(link, api)
    api.router.post("/executor/results").respond(401)
    api.router.post("/executor/heartbeat").respond(200, json={"status": "success"})
    await link.deliver(FakeReadyResult(OK))
    wire.send(command("a"))
    assert [c.id for c in (await link.receive(eager=False)).commands] == ["a"]
    assert len(api.wires) == 1


async def test_a_401_for_a_heartbeat_too_ends_the_stream_once(link, api, token_file, withdrawn, autojump_clock):
    wire = await opened(link, api)
    results, _ = withdrawn
    reply = await link.deliver(FakeReadyResult(OK, stdout=["x"]))
    assert (reply.verdict, reply.status) == (Verdict.LATER, 401)
    began = trio.current_time()
    await link.receive(eager=False)
    assert wire.closed
    assert trio.current_time() == began, "and not after the silence"
    assert len(api.wires) == 2
    assert not await link.recognise()
    api.wire.send(command("a"))
    assert [c.id for c in (await link.receive(eager=False)).commands] == ["a"], "once for a token: this stream stays"
    token_file.write_text("second\n")
    await link.receive(eager=False)
    assert api.tokens() == ["first", "first", "second"]
    results.respond(200)
    assert (await link.deliver(FakeReadyResult(OK, stdout=["x"]))).verdict is Verdict.STORED


async def test_a_401_between_two_receives_ends_the_stream_too(link, api, withdrawn, autojump_clock):
    wire = await opened(link, api)
    await link.recognise()
    api.refusals.append(httpx.Response(401))
    with pytest.raises(LinkDown) as down:
        await link.receive(eager=False)
    assert down.value.refused
    assert wire.closed
    await link.recognise()  # and without a stream there is none to end
    await opened(link, api)


async def test_a_late_401_for_an_old_token_does_not_end_the_new_stream(link, api, token_file, autojump_clock):
    await opened(link, api)

    async def slow(request):
        await trio.sleep(3)
        return httpx.Response(401)

    api.router.post("/executor/heartbeat").mock(side_effect=slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.recognise)
        await trio.sleep(1)
        token_file.write_text("second\n")
        await link.receive(eager=False)
        assert api.tokens() == ["first", "second"]
        api.wire.send(PING)
        await trio.sleep(5)
    await link.receive(eager=False)
    assert len(api.wires) == 2


async def test_a_result_is_flat(link, api):
    parcel = FakeReadyResult(OK, stdout=["NAME\n", "wäb"], command_id="a", correlation_id="k", session_id="s")
    reply = await link.deliver(parcel)
    assert (reply.verdict, reply.status) == (Verdict.STORED, 200)
    request = api.router.calls.last.request
    assert json.loads(request.content) == {
        "command_id": "a",
        "executed_at": "2023-11-14T22:13:20.000+00:00",
        "success": True,
        "exit_code": 0,
        "execution_time_ms": 12,
        "output": "NAME\nwäb",
        "error": None,
    }
    assert int(request.headers["content-length"]) == len(request.content)
    assert request.headers["x-correlation-id"] == "k"
    assert request.headers["x-session-id"] == "s"


@pytest.mark.parametrize(
    ("result", "stdout", "stderr", "output", "error"),
    [
        (OK, [], ["No resources found.\n"], "No resources found.\n", None),
        (OK, ["NAME\n"], ["Warning: old\n"], "NAME\n\nWarning: old\n", None),
        (Result(Outcome.FAILED, 1), [], ["Error: not found\n"], "Error: not found\n", "Error: not found\n"),
        (Result(Outcome.REFUSED, error="No."), [], [], "No.", "No."),
        (Result(Outcome.TIMED_OUT, 143, "Too late."), ["half"], ["E"], "half\nToo late.\nE", "Too late.\nE\nhalf"),
        (
            Result(Outcome.FAILED, 1),
            ["checkout 1/1\n"],
            ["Error: no nope\n"],
            "checkout 1/1\n\nError: no nope\n",
            "Error: no nope\n\ncheckout 1/1\n",
        ),
        (Result(Outcome.FAILED, 1), [], [], "", ""),
    ],
)
async def test_everything_that_was_said_is_in_the_output(link, api, result, stdout, stderr, output, error):
    await link.deliver(FakeReadyResult(result, stdout=stdout, stderr=stderr))
    request = api.router.calls.last.request
    body = json.loads(request.content)
    assert (body["output"], body["error"]) == (output, error)
    assert int(request.headers["content-length"]) == len(request.content)


async def test_what_never_ran_has_the_time_at_which_that_is_told(link, api):
    await link.deliver(FakeReadyResult(Result(Outcome.BUSY, error="Busy."), executed_at=None))
    body = json.loads(api.router.calls.last.request.content)
    told = datetime.fromisoformat(body["executed_at"])
    assert abs((datetime.now(UTC) - told).total_seconds()) < 3600
    assert body["execution_time_ms"] == 0
    assert isinstance(body["execution_time_ms"], int)


CUT = Result(Outcome.SUCCEEDED, exit_code=0, truncated=True, output_bytes=25_000_000)


async def told(link, api, result, **texts):
    await link.deliver(FakeReadyResult(result, **texts))
    request = api.router.calls.last.request
    assert int(request.headers["content-length"]) == len(request.content)
    body = json.loads(request.content)
    return body["output"], body["error"]


async def test_output_that_was_cut_says_so_at_its_end(link, api):
    output, error = await told(link, api, CUT, stdout=["NAME\n", "web\n"])
    assert error is None
    assert output.startswith("NAME\nweb\n\n[Cut: this is the beginning of 24 MiB. Ask for less: ")


@pytest.mark.parametrize("begin", ["{", "  [", "\n{"])
async def test_json_that_was_cut_is_told_first_of_all(link, api, begin):
    output, _ = await told(link, api, CUT, stdout=[f'{begin}"a', "b"])
    assert output.startswith(f"[This JSON is cut: it isn't whole and can't be parsed.]\n{begin}\"ab\n[Cut: ")


async def test_nothing_that_was_cut_has_no_beginning(link, api):
    output, _ = await told(link, api, CUT)
    assert output.startswith("[Cut: ")


@pytest.mark.parametrize(("count", "says"), [(1, "1 value was"), (3, "3 values were")])
@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
async def test_what_was_redacted_is_said_to_be_on_purpose(link, api, count, says, outcome):
    output, error = await told(link, api, Result(outcome, 0, redactions=count), stdout=["key: <redacted>\n"])
    line = (
        f"\n[{says} redacted on purpose, as they look like credentials. Asking again in another form changes nothing.]"
    )
    assert output == "key: <redacted>\n" + line
    assert error in (None, output)


async def test_of_a_failure_as_much_is_repeated_as_fits(link, api):
    result = Result(Outcome.TIMED_OUT, 143, "Too late.")
    output, error = await told(link, api, result, stdout=["é" * 9000, "x" * 9000], stderr=["e" * 9000] * 3)
    assert output == "é" * 9000 + "x" * 9000 + "\nToo late.\n" + "e" * 27_000
    assert error == "Too late.\n" + "e" * 8192 + "\n" + "é" * 8192


async def test_a_large_result_goes_in_pieces(link, api):
    parcel = FakeReadyResult(OK, stdout=["é\n" * 50_000] * 10, stderr=["w"])
    await link.deliver(parcel)
    request = api.router.calls.last.request
    assert json.loads(request.content)["output"] == "é\n" * 500_000 + "\nw"
    assert int(request.headers["content-length"]) == len(request.content)


@pytest.mark.parametrize(
    ("answer", "verdict", "status"),
    [
        (httpx.Response(200), Verdict.STORED, 200),
        (httpx.Response(202), Verdict.STORED, 202),
        (httpx.Response(400, json={}), Verdict.REFUSED, 400),
        (httpx.Response(400), Verdict.LATER, 400),
        (httpx.Response(403, text="blocked"), Verdict.LATER, 403),
        (httpx.Response(200, text="OK"), Verdict.LATER, 200),
        (httpx.Response(403, json={"detail": "Command was not issued to this cluster"}), Verdict.REFUSED, 403),
        (httpx.Response(422, json={"detail": []}), Verdict.REFUSED, 422),
        (httpx.Response(413), Verdict.TOO_LARGE, 413),
        (httpx.Response(404), Verdict.LATER, 404),
        (httpx.Response(405), Verdict.LATER, 405),
        (httpx.Response(429, headers={"Retry-After": "9"}), Verdict.LATER, 429),
        (httpx.Response(500), Verdict.LATER, 500),
        (httpx.Response(403, html="<html>blocked"), Verdict.LATER, 403),
        (httpx.Response(307, headers={"Location": "/"}), Verdict.LATER, 307),
        (httpx.ConnectError("refused"), Verdict.LATER, None),
    ],
)
async def test_what_an_answer_means_for_a_result(link, api, answer, verdict, status):
    side = answer if isinstance(answer, Exception) else [answer]
    api.router.post("/executor/results").mock(side_effect=side)
    reply = await link.deliver(FakeReadyResult(OK, stdout=["x"]))
    assert (reply.verdict, reply.status) == (verdict, status)


async def test_a_token_file_that_is_gone_at_the_start_is_told(environ, api, token_file):
    config = Config.from_environ(environ)
    token_file.unlink()
    link = StreamLink(Http(config))
    reply = await link.deliver(FakeReadyResult(OK))
    assert (reply.verdict, reply.status) == (Verdict.LATER, None)
    with pytest.raises(LinkDown, match="token file"):
        await link.receive(eager=False)
    await link.aclose()


async def test_results_flow_while_there_is_no_stream(link, api, autojump_clock):
    api.refusals.append(httpx.ConnectError("refused"))
    with pytest.raises(LinkDown):
        await link.receive(eager=False)
    assert (await link.deliver(FakeReadyResult(OK))).verdict is Verdict.STORED


async def test_hours_of_streams_leave_nothing_behind(link, api, autojump_clock):
    """Every hour one is lost, in one way or the other, amid an event."""
    await opened(link, api)
    held = []
    for hour in range(8):
        wire = api.wire
        for _ in range(60):
            await trio.sleep(40)
            wire.send(PING)
            await link.receive(eager=False)
        wire.send(command(f"c{hour}")[:-9])
        await link.receive(eager=False)
        if hour % 2:
            wire.send(httpx.ReadError("reset"))
        await link.receive(eager=False)
        assert wire.closed
        del api.wires[:-1], wire
        api.router.reset()
        gc.collect()
        held.append(len(gc.get_objects()))
    assert held[-1] < held[3] + 100


async def test_closing_leaves_nothing_open(link, api):
    wire = await opened(link, api)
    wire.send(CONNECTED)
    wire.send(PING)
    await link.aclose()
    await link.aclose()
    assert wire.closed


class Capable:
    """What may be run, as a test changes it."""

    def __init__(self):
        self.value = CAN

    def __call__(self):
        return self.value


@pytest.fixture
def capable():
    return Capable()


@pytest.fixture
async def reporting(environ, api, capable):
    http = Http(Config.from_environ(environ))
    link = StreamLink(http, capable)
    api.router.post("/executor/capabilities").respond(json={"status": "success", "mode": "readOnly"})
    api.router.post("/executor/heartbeat").respond(json={"status": "success"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        await trio.testing.wait_all_tasks_blocked()
        yield link
        nursery.cancel_scope.cancel()
    await link.aclose()


def reports(api):
    paths = [call.request.url.path.rpartition("/")[2] for call in api.router.calls]
    return "".join({"capabilities": "C", "heartbeat": "h"}.get(path, "") for path in paths)


async def test_capabilities_are_told_when_the_stream_opens_and_then_a_heartbeat(reporting, api, autojump_clock):
    await trio.sleep(1000)
    assert reports(api) == "", "nobody to tell"
    await opened(reporting, api)
    await trio.sleep(1)
    assert reports(api) == "C"
    body = json.loads(api.router.calls.last.request.content)
    assert body["allowed_verbs"] == ["get"]
    assert body["executor_version"] == __version__
    await trio.sleep(901)
    assert reports(api) == "Chhh"


async def test_a_new_stream_is_a_reason_to_say_hello(reporting, api, autojump_clock):
    wire = await opened(reporting, api)
    await trio.sleep(10)
    wire.end()
    await reporting.receive(eager=False)
    await trio.sleep(10)
    assert reports(api) == "Ch"


async def test_capabilities_are_told_again_when_they_are_forgotten(reporting, api, autojump_clock):
    await opened(reporting, api)
    await trio.sleep(1)
    api.router.post("/executor/heartbeat").mock(
        side_effect=[httpx.Response(200, json={"status": "not_found"}), httpx.Response(200, json={"status": "success"})]
    )
    await trio.sleep(650)
    assert reports(api) == "ChCh"


async def test_capabilities_are_told_again_when_the_policy_changes(reporting, api, capable, autojump_clock):
    await opened(reporting, api)
    await trio.sleep(1)
    capable.value = Capabilities(("get", "logs"), (), ())
    await trio.sleep(650)
    assert reports(api) == "CCh"
    assert api.router.calls


@pytest.mark.parametrize(
    "fault", [httpx.ConnectError("refused"), httpx.Response(500), httpx.Response(401), httpx.Response(200, html="<p>")]
)
async def test_a_report_that_fails_is_sent_again(reporting, api, autojump_clock, fault):
    ok = httpx.Response(200, json={"status": "success"})
    api.router.post("/executor/capabilities").mock(side_effect=[fault, ok])
    await opened(reporting, api)
    await trio.sleep(310)
    assert reports(api) == "CC"


async def test_a_401_for_a_heartbeat_ends_the_stream_once(token_file, reporting, api, autojump_clock):
    """Without it an agent that has nothing to send would listen with a token that was withdrawn, and look well."""
    wire = await opened(reporting, api)
    await trio.sleep(290)
    api.router.post("/executor/heartbeat").respond(401)
    await trio.sleep(20)
    began = trio.current_time()
    await reporting.receive(eager=False)
    assert wire.closed
    assert trio.current_time() == began, "and not after the silence"
    assert api.tokens() == ["first", "first"]
    await trio.sleep(40)
    wire = api.wire
    wire.send(PING)
    await reporting.receive(eager=False)
    assert not wire.closed, "once for a token"
    token_file.write_text("second\n")
    await reporting.receive(eager=False)
    assert api.tokens() == ["first", "first", "second"]


async def test_an_odd_answer_to_a_heartbeat_is_no_fault(reporting, api, autojump_clock):
    await opened(reporting, api)
    api.router.post("/executor/heartbeat").respond(200, content=b"[" * 100_000)
    await trio.sleep(650)
    assert reports(api) == "ChChC"


@pytest.mark.parametrize(("told", "reported"), [("true", "C"), ("false", "")])
async def test_the_configuration_chooses_the_link(environ, api, autojump_clock, told, reported):
    api.router.post("/executor/capabilities").respond(200)
    link = open_link(Config.from_environ({**environ, "KUBENTLY_REPORT_CAPABILITIES": told}), lambda: CAN)
    assert (link.pulls, link.burst, link.pause_seconds) == (False, 0, 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        await opened(link, api)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert reports(api) == reported
    await link.aclose()


async def test_by_default_it_polls(environ, api):
    environ.pop("KUBENTLY_LINK")
    link = open_link(Config.from_environ(environ), lambda: CAN)
    assert (link.pulls, link.burst, link.pause_seconds) == (True, 10, 60)
    await link.aclose()


async def test_without_a_reporter_nothing_runs_beside(link, api, autojump_clock):
    with trio.move_on_after(1000) as limit:
        await link.run()
    assert limit.cancelled_caught
    assert not api.router.calls
