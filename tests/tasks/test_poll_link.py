"""The long-poll contract on a mocked transport: what is asked, and what each answer means."""

import gzip
import json

import httpx
import pytest
import trio
import trio.testing

from agent import __version__
from agent.config import Config
from agent.errors import LinkDown
from agent.link import Verdict
from agent.link.credentials import Token
from agent.link.http import MAX_BODY_BYTES, Http
from agent.link.poll import PollLink
from agent.model import Outcome, Result
from tests.tasks.fakes import FakeReadyResult

COMMAND = {"id": "c1", "args": ["get", "pods"], "timeout": 5}
OK = Result(Outcome.SUCCEEDED, exit_code=0, execution_time_ms=12, output_bytes=5)


@pytest.fixture
def config(tmp_path):
    return Config.from_environ(
        {
            "KUBENTLY_API_URL": "http://localhost:1/base",
            "CLUSTER_ID": "prod",
            "KUBENTLY_TOKEN": "t0ken",
            "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db"),
        }
    )


@pytest.fixture
def api(routes):
    routes.get("/agent/status").respond(json={"cluster_id": "prod", "is_active": False, "queue_depth": 0})
    return routes


@pytest.fixture
async def link(api, config, monkeypatch):
    monkeypatch.setattr("agent.link.poll.random", lambda: 1.0)
    link = PollLink(Http(config))
    yield link
    await link.aclose()


def waits(api):
    return [int(call.request.url.params["wait"]) for call in api.calls if call.request.url.path.endswith("/commands")]


async def test_every_request_says_who_asks(link, api):
    api.get("/agent/commands").respond(json={"commands": [COMMAND]})
    batch = await link.receive(eager=False)
    assert [c.id for c in batch.commands] == ["c1"]
    for call in api.calls:
        headers = call.request.headers
        assert headers["authorization"] == "Bearer t0ken"
        assert headers["x-cluster-id"] == "prod"
        assert headers["user-agent"] == f"kubently-agent/{__version__}"
    assert api.calls.last.request.extensions["timeout"]["read"] == 25


async def test_the_rhythm_follows_the_session(link, api, autojump_clock):
    route = api.get("/agent/commands").respond(204)
    await link.receive(eager=False)
    api.get("/agent/status").respond(json={"is_active": True})
    await trio.sleep(61)
    await link.receive(eager=False)
    api.get("/agent/status").respond(json={"is_active": False})
    await trio.sleep(11)
    await link.receive(eager=False)
    route.respond(json={"commands": [COMMAND]})
    await link.receive(eager=False)
    await link.receive(eager=False)
    assert waits(api) == [20, 1, 20, 20, 1], "a command is a sign of a session, without asking"


async def test_an_empty_list_is_no_sign_of_a_session(link, api, autojump_clock):
    api.get("/agent/commands").respond(json={"commands": []})
    for _ in range(2):
        await link.receive(eager=False)
    assert waits(api) == [20, 20]


async def test_an_idle_minute_is_four_requests(link, api, autojump_clock):
    async def hold(request):
        await trio.sleep(int(request.url.params["wait"]))
        return httpx.Response(204)

    api.get("/agent/commands").mock(side_effect=hold)
    began = trio.current_time()
    while trio.current_time() - began < 600:
        await link.receive(eager=False)
    assert len(api.calls) == 40


async def test_after_an_outage_the_next_poll_lasts_a_part_so_that_no_fleet_stays_in_step(
    link, api, monkeypatch, autojump_clock
):
    monkeypatch.setattr("agent.link.poll.random", lambda: 0.4)
    Balancer(api, 20, None)
    for eager in (False, False, True, False, False):
        await link.receive(eager=eager)
    assert waits(api) == [8, 20, 1, 8, 20]


async def test_an_eager_poll_is_short_and_asks_no_status(link, api):
    api.get("/agent/commands").respond(204)
    await link.receive(eager=True)
    assert waits(api) == [1]
    assert len(api.calls) == 1


@pytest.mark.parametrize(
    "status",
    [
        httpx.Response(500),
        httpx.Response(404),
        httpx.Response(200, content=b"garbage"),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(200, json=[1]),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
)
async def test_a_status_that_fails_stops_nothing(link, api, status):
    api.get("/agent/status").mock(side_effect=[status])
    api.get("/agent/commands").respond(json={"commands": [COMMAND]})
    assert len((await link.receive(eager=False)).commands) == 1
    assert waits(api) == [20]


async def test_a_server_that_doesnt_hold_polls_isnt_hammered(link, api, autojump_clock):
    api.get("/agent/commands").respond(204)
    began = trio.current_time()
    for _ in range(10):
        await link.receive(eager=False)
    assert trio.current_time() - began >= 10


class Balancer:
    """Answers polls, but cuts off those that are held for longer than `most`: in one of the ways that there are."""

    def __init__(self, api, most, how):
        self.most, self.how, self.asked = most, how, []
        api.get("/agent/commands").mock(side_effect=self.answer)

    async def answer(self, request):
        wait = int(request.url.params["wait"])
        self.asked.append(wait)
        if wait <= self.most:
            await trio.sleep(wait)
            return httpx.Response(204)
        await trio.sleep(25 if isinstance(self.how, httpx.ReadTimeout) else self.most)
        if isinstance(self.how, Exception):
            raise self.how
        return self.how


CUTS = [
    httpx.RemoteProtocolError("closed"),
    httpx.ReadError("reset"),
    httpx.ReadTimeout("slow"),
    httpx.Response(504, text="<html>"),
    httpx.Response(504, json={}),
    httpx.Response(502),
    httpx.Response(408),
]


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("most", [3, 6, 15])
async def test_where_held_polls_are_cut_off_shorter_ones_are_asked_for(link, api, autojump_clock, how, most):
    balancer = Balancer(api, most, how)
    began = trio.current_time()
    while trio.current_time() - began < 240:
        await link.receive(eager=False)  # and none of this is an outage
    assert 1 < balancer.asked[-1] <= most
    assert len(balancer.asked) < 240 / (most - 2) + 20


async def test_one_that_is_cut_off_is_chance(link, api, autojump_clock):
    balancer = Balancer(api, 3, httpx.ReadError("reset"))
    await link.receive(eager=False)
    balancer.most = 20
    for _ in range(3):
        await link.receive(eager=False)
    assert balancer.asked == [20, 1, 20, 20, 20]


async def test_one_that_fails_at_once_was_not_cut_off(link, api, autojump_clock):
    api.get("/agent/commands").mock(side_effect=[httpx.ReadError("reset"), httpx.Response(204)] * 3)
    for _ in range(3):
        await link.receive(eager=False)
    assert waits(api) == [20, 1] * 3


async def test_full_ones_are_tried_again_later(link, api, autojump_clock):
    balancer = Balancer(api, 6, httpx.ReadError("reset"))
    for _ in range(3):
        await link.receive(eager=False)
    assert balancer.asked == [20, 1, 20, 1, 4]
    await trio.sleep(601)
    await link.receive(eager=False)
    assert balancer.asked[5:] == [20, 1]
    await link.receive(eager=False)
    assert balancer.asked[7:] == [4], "once is enough now"
    balancer.most = 20
    await trio.sleep(601)
    for _ in range(3):
        await link.receive(eager=False)
    assert balancer.asked[8:] == [20, 20, 20]


@pytest.mark.parametrize("how", CUTS)
async def test_if_the_short_one_fails_too_it_is_an_outage(link, api, autojump_clock, how):
    api.get("/agent/commands").mock(side_effect=how if isinstance(how, Exception) else [how, how])
    with pytest.raises(LinkDown):
        await link.receive(eager=False)
    assert waits(api) == [20, 1]


async def test_a_silent_probe_is_a_failure(link, api):
    api.get("/agent/commands").mock(side_effect=httpx.ReadTimeout("slow"))
    with pytest.raises(LinkDown, match="no answer within 6 s"):
        await link.receive(eager=True)
    assert waits(api) == [1]


STATUS = {"cluster_id": "prod", "is_active": False, "queue_depth": 0}


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (httpx.Response(200, json=STATUS), True),
        (httpx.Response(200, json={"status": "maintenance"}), False),
        (httpx.Response(200, json={"is_active": "yes"}), False),
        (httpx.Response(200, text="OK"), False),
        (httpx.Response(200, content=b"[" * 100_000), False),
        (httpx.Response(204), False),
        (httpx.Response(404, json=STATUS), False),
    ],
)
async def test_the_sessions_state_tells_whether_it_is_the_api(link, api, answer, known):
    api.get("/agent/status").mock(side_effect=[answer])
    assert await link.recognise() is known


async def test_a_state_that_nobody_tells_is_a_failure(link, api):
    api.get("/agent/status").mock(side_effect=httpx.ConnectError("refused"))
    with pytest.raises(LinkDown, match="refused"):
        await link.recognise()


@pytest.mark.parametrize("eager", [False, True])
async def test_anything_can_say_204_at_once(link, api, autojump_clock, eager):
    status = api.get("/agent/status").respond(200, text="OK")
    route = api.get("/agent/commands").respond(204)
    assert not (await link.receive(eager=eager)).recognised
    route.respond(json={"commands": []})
    assert (await link.receive(eager=eager)).recognised
    Balancer(api, 20, None)
    assert (await link.receive(eager=eager)).recognised, "it was held"
    api.get("/agent/commands").respond(204)
    status.respond(json=STATUS)
    await trio.sleep(100)
    assert (await link.receive(eager=False)).recognised, "the state was asked before"


async def test_nor_is_a_204_at_once_after_a_poll_that_was_cut(link, api, autojump_clock):
    async def cut(request):
        if request.url.params["wait"] == "1":
            return httpx.Response(204)
        await trio.sleep(15)
        raise httpx.ReadError("reset")

    api.get("/agent/status").respond(200, text="OK")
    api.get("/agent/commands").mock(side_effect=cut)
    assert not (await link.receive(eager=False)).recognised


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(500, text="boom"), "HTTP 500: boom"),
        (httpx.Response(502, text="<html>bad gateway"), "HTTP 502 in HTML"),
        (httpx.Response(200, text="\ufeff \r\n<!doctype html>"), "in HTML"),
        (httpx.Response(301, headers={"location": "http://evil/"}), "never followed"),
        (httpx.Response(200, text="{}"), "isn't"),
        (httpx.Response(200, json={"commands": "x"}), "not the API's answer"),
        (httpx.Response(404, json={"detail": "no"}), "HTTP 404"),
        (httpx.Response(200, content=b" " * (MAX_BODY_BYTES + 1)), "more than 3 MiB"),
        (httpx.Response(200, content=gzip.compress(b'{"commands": []}', mtime=0)), "not the API's answer"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (httpx.RemoteProtocolError("gone"), "gone"),
        (httpx.ReadError(""), "ReadError"),
    ],
)
async def test_what_isnt_the_contract_is_an_outage(link, api, answer, says):
    api.get("/agent/commands").mock(side_effect=[answer])
    if says == "isn't":
        says = "not the API's answer"
    with pytest.raises(LinkDown, match=says):
        await link.receive(eager=True)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe\x00", b"null", b"[]", b"{}", b'{"commands": {}}', b'{"commands": 0}',
     b'{"commands": [', b"[" * 100_000, b'{"commands": [' + b"9" * 5000 + b"]}"],
)  # fmt: skip
async def test_what_isnt_the_contracts_json(link, api, body):
    api.get("/agent/commands").respond(200, content=body)
    with pytest.raises(LinkDown, match="not the API's answer"):
        await link.receive(eager=True)


async def test_what_go_writes_for_no_commands(link, api):
    api.get("/agent/commands").respond(json={"commands": None})
    assert (await link.receive(eager=True)).commands == []


async def test_a_redirect_is_not_followed(link, api):
    evil = api.get("http://evil/").respond(204)
    api.get("/agent/commands").respond(307, headers={"location": "http://evil/"})
    with pytest.raises(LinkDown):
        await link.receive(eager=False)
    assert not evil.called


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 0), ("-3", None), ("soon", None), ("", None), ("9" * 40, 999_999_999), ("٣", None)],
)
async def test_retry_after(link, api, value, seconds):
    api.get("/agent/commands").respond(
        503, headers={"retry-after": value.encode()} if not value.isascii() else {"retry-after": value}
    )
    with pytest.raises(LinkDown) as caught:
        await link.receive(eager=False)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("after", "date", "seconds"),
    [
        ("Wed, 01 Jan 2098 00:00:30 GMT", "Wed, 01 Jan 2098 00:00:00 GMT", 30),
        ("Wed, 01 Jan 2020 00:00:30 GMT", "Wed, 01 Jan 2020 00:00:00 GMT", 30),
        ("Wed, 01 Jan 2020 00:00:00 GMT", "Wed, 01 Jan 2020 00:00:30 GMT", 0),
        ("Wed, 01 Jan 2020 00:00:00 GMT", "yesterday", 0),
        ("Wed, 01 Jan 2020 00:00:00 GMT", "", 0),
        ("Wed, 01 Jan 2020 00:00:00", "", None),
    ],
)
async def test_retry_after_as_a_date_is_read_by_the_clock_that_it_is_said_by(link, api, after, date, seconds):
    api.get("/agent/commands").respond(429, headers={"retry-after": after, "date": date})
    with pytest.raises(LinkDown) as caught:
        await link.receive(eager=False)
    assert caught.value.retry_after == seconds


async def test_a_rotated_token_is_used_after_a_401(config, api, tmp_path):
    token = tmp_path / "token"
    token.write_text("old\n")
    environ = {"KUBENTLY_API_URL": config.api_url, "CLUSTER_ID": "prod", "KUBENTLY_TOKEN_FILE": str(token)}
    link = PollLink(Http(Config.from_environ({**environ, "KUBENTLY_SPOOL_PATH": str(tmp_path / "s.db")})))
    api.get("/agent/commands").mock(
        side_effect=[httpx.Response(401), httpx.Response(200, json={"commands": [COMMAND]})]
    )
    with pytest.raises(LinkDown) as caught:
        await link.receive(eager=True)
    assert caught.value.refused
    token.write_text("new\n")
    assert (await link.receive(eager=True)).commands
    assert [call.request.headers["authorization"] for call in api.calls] == ["Bearer old", "Bearer new"]
    token.write_text("")
    assert link._http.token.current() == "new", "an empty file is a rotation in progress"
    token.unlink()
    assert link._http.token.current() == "new"
    await link.aclose()


async def test_a_token_file_that_is_gone_before_it_was_read(tmp_path):
    with pytest.raises(LinkDown, match="can't be read"):
        Token(None, tmp_path / "none").current()
    (tmp_path / "empty").touch()
    with pytest.raises(LinkDown, match="is empty"):
        Token(None, tmp_path / "empty").current()


def sent(api):
    request = api.calls.last.request
    assert int(request.headers["content-length"]) == len(request.content)
    assert "transfer-encoding" not in request.headers
    return json.loads(request.content)


async def test_a_result_on_the_wire(link, api):
    api.post("/agent/results").respond(200)
    parcel = FakeReadyResult(
        OK, stdout=['NAME "a"\n', "ü\u2028\x01"], stderr=["warning"], correlation_id="t1", session_id="s1"
    )
    reply = await link.deliver(parcel)
    assert reply.verdict is Verdict.STORED
    assert sent(api) == {
        "command_id": "c1",
        "result": {
            "success": True,
            "exit_code": 0,
            "execution_time_ms": 12,
            "warnings": "warning",
            "output": 'NAME "a"\nü\u2028\x01',
            "error": None,
        },
    }
    assert api.calls.last.request.headers["x-correlation-id"] == "t1"
    assert api.calls.last.request.headers["x-session-id"] == "s1"
    assert api.calls.last.request.headers["content-type"] == "application/json"


async def test_what_is_said_beside_nothing_is_the_output_too(link, api):
    api.post("/agent/results").respond(200)
    await link.deliver(FakeReadyResult(OK, stderr=["No resources found in shop namespace.\n"]))
    got = sent(api)["result"]
    assert got["output"] == got["warnings"] == "No resources found in shop namespace.\n"
    assert got["error"] is None


async def test_what_was_redacted_is_counted(link, api):
    api.post("/agent/results").respond(200)
    await link.deliver(FakeReadyResult(Result(Outcome.SUCCEEDED, exit_code=0, redactions=3), stdout=["<redacted>"]))
    assert sent(api)["result"]["redactions"] == 3
    await link.deliver(FakeReadyResult(OK, stdout=["a"]))
    assert not {"redactions", "warnings"} & set(sent(api)["result"])


@pytest.mark.parametrize(
    ("result", "stderr", "expected"),
    [
        (Result(Outcome.FAILED, exit_code=1), ["no such pod\n"], {"error": "no such pod\n", "exit_code": 1}),
        (Result(Outcome.FAILED, exit_code=1), [], {"error": ""}),
        (Result(Outcome.REFUSED, error="no", rule="verb"), [], {"error": "no", "exit_code": None}),
        (
            Result(Outcome.TIMED_OUT, exit_code=143, error="too slow"),
            ["so far"],
            {"error": "too slow\nso far", "timed_out": True},
        ),
        (
            Result(Outcome.FAILED, exit_code=1, truncated=True, output_bytes=99),
            ["x"],
            {"truncated": True, "output_bytes": 99},
        ),
    ],
)
async def test_what_the_error_says(link, api, result, stderr, expected):
    api.post("/agent/results").respond(200)
    await link.deliver(FakeReadyResult(result, stderr=stderr))
    got = sent(api)["result"]
    assert got["success"] is False
    assert expected.items() <= got.items()


@pytest.mark.parametrize(
    ("stdout", "stderr", "begins"),
    [
        (["NAME\n", "web\n"], ["Warning: old"], "NAME\nweb\n\n[Cut: this is the beginning of 24 MiB. Ask for less: "),
        (['{"a"'], [], "[This JSON is cut: it isn't whole and can't be parsed.]\n{\"a\"\n[Cut: this is the beginning"),
        ([], ["Warning: old"], "Warning: old\n[Cut: "),
        ([], [], "[Cut: "),
    ],
)
async def test_output_that_was_cut_says_so_for_readers_of_it_alone(link, api, stdout, stderr, begins):
    api.post("/agent/results").respond(200)
    cut = Result(Outcome.SUCCEEDED, exit_code=0, truncated=True, output_bytes=25_000_000)
    await link.deliver(FakeReadyResult(cut, stdout=stdout, stderr=stderr))
    got = sent(api)["result"]
    assert got["output"].startswith(begins)
    assert (got["truncated"], got["error"]) == (True, None)


async def test_a_large_result_is_read_piece_by_piece(link, api):
    api.post("/agent/results").respond(201)
    parcel = FakeReadyResult(OK, stdout=["x" * 50_000] * 10)
    assert (await link.deliver(parcel)).verdict is Verdict.STORED
    assert sent(api)["result"]["output"] == "x" * 500_000
    assert parcel.read == 10


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (httpx.Response(200), Verdict.STORED),
        (httpx.Response(202, json={"status": "ok", "command_id": "c1"}), Verdict.STORED),
        (httpx.Response(200, text=" \n"), Verdict.STORED),
        (httpx.Response(204), Verdict.STORED),
        *[
            (httpx.Response(200, text=text), Verdict.LATER)
            for text in ("OK", '"ok"', "[]", "null", '{"command_id": "c2"}', '{"commands": [', "[" * 100_000)
        ],
        (httpx.Response(404, text="default backend - 404"), Verdict.LATER),
        (httpx.Response(400), Verdict.LATER),
        (httpx.Response(200, text="<html>welcome to the hotel"), Verdict.LATER),
        *[(httpx.Response(status, json={"detail": "why"}), Verdict.REFUSED) for status in (400, 404, 409, 422)],
        (httpx.Response(404, text="<html>no backend"), Verdict.LATER),
        (httpx.Response(413), Verdict.TOO_LARGE),
        *[(httpx.Response(status), Verdict.LATER) for status in (302, 401, 403, 408, 425, 429, 500, 502, 503, 504)],
        (httpx.ConnectError("refused"), Verdict.LATER),
        (httpx.WriteTimeout("slow"), Verdict.LATER),
        (httpx.ReadTimeout("slow"), Verdict.LATER),
    ],
)
async def test_what_each_answer_to_a_result_means(link, api, answer, verdict):
    api.post("/agent/results").mock(side_effect=[answer])
    reply = await link.deliver(FakeReadyResult(OK))
    assert reply.verdict is verdict
    if verdict is Verdict.REFUSED:
        assert reply.words == '{"detail":"why"}'
    if verdict is Verdict.LATER:
        assert reply.words


async def test_an_acknowledgement_unlike_those_before_is_believed_once_the_api_was_recognised(link, api):
    """Whoever answers in the API's place between two polls may say `{}` too."""
    usual, odd = {"status": "accepted", "of": "this"}, {"status": "ok"}
    route = api.post("/agent/results")

    async def verdicts(*said):
        route.mock(side_effect=[httpx.Response(200, json=each) for each in said])
        return [(await link.deliver(FakeReadyResult(OK))).verdict for _ in said]

    assert await verdicts(usual, usual, odd) == [Verdict.STORED, Verdict.STORED, Verdict.LATER]
    assert await verdicts(odd, odd, usual) == [
        Verdict.STORED,
        Verdict.STORED,
        Verdict.LATER,
    ]  # a new version of the API

    async def slowly(_):
        await trio.testing.wait_all_tasks_blocked()
        return httpx.Response(200, json=odd)

    found = []

    async def deliver():
        found.append((await link.deliver(FakeReadyResult(OK))).verdict)

    assert await verdicts(usual) == [Verdict.STORED]
    route.mock(side_effect=slowly)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(deliver)
    assert found == [Verdict.LATER] * 4, "what was under way was sent before it was recognised"


async def test_an_acknowledgement_that_names_the_command_is_the_new_norm(link, api):
    """It is believed at once, and whoever says something else after it isn't."""
    said = [{"status": "ok"}, {"command_id": "c1", "duplicate": True}, {"status": "ok"}]
    api.post("/agent/results").mock(side_effect=[httpx.Response(200, json=each) for each in said])
    verdicts = [(await link.deliver(FakeReadyResult(OK))).verdict for _ in said]
    assert verdicts == [Verdict.STORED, Verdict.STORED, Verdict.LATER]


async def test_a_result_that_trickles_is_given_up(link, api, autojump_clock):
    async def trickle(_):
        await trio.sleep(3600)

    api.post("/agent/results").mock(side_effect=trickle)
    reply = await link.deliver(FakeReadyResult(OK))
    assert reply.verdict is Verdict.LATER
    assert "no whole answer in time" in reply.words


async def test_nothing_goes_on_beside(link, autojump_clock):
    with trio.move_on_after(10) as scope:
        await link.run()
    assert scope.cancelled_caught
