"""After each thing that an API can do, everything is delivered or visibly refused, and a fresh command works."""

import random
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
import trio

from agent.link.http import MAX_BODY_BYTES
from tests.chaos.inside import agent_inside
from tests.chaos.record import judge
from tests.chaos.standin import prints
from tests.kit import THOROUGH, faults
from tests.kit.api import fake_api

pytestmark = pytest.mark.chaos

PATIENCE_SECONDS = 120
"""For a machine that is busy with other things. Nothing here takes a second on one that isn't."""


@pytest.fixture(params=["poll", "stream"])
def link(request):
    return request.param


@pytest.fixture
async def api(link):
    async with fake_api([link], again_seconds=0.3) as api:
        yield api


@pytest.fixture
def agent(api, tmp_path, monkeypatch, link):
    """Starts one, and sees to it that all is well in the end."""

    @asynccontextmanager
    async def running(**environ):
        with trio.fail_after(PATIENCE_SECONDS):
            async with agent_inside(api, tmp_path, monkeypatch, KUBENTLY_LINK=link, **environ) as agent:
                yield agent
                await say(api, "fresh").answered.wait()
                with closing(sqlite3.connect(f"file:{tmp_path}/spool.db?mode=ro", uri=True)) as db:
                    rejected = [row[0] for row in db.execute("select command_id from stuck where state = 'rejected'")]
                verdict = judge(api, rejected=rejected, accepted=[], runs=[])
        assert verdict.well, verdict
        for known in api.known:
            assert agent.started(known.id) <= 1, "an id is run once, however often it is handed out"

    return running


def say(api, command_id):
    return api.queue(f"say-0-{command_id}", command_id=command_id, expected=prints(f"say-0-{command_id}"))


async def stored(*commands):
    for known in commands:
        await known.answered.wait()


async def met(api):
    """Until every planned fault was met."""
    while api.planned:
        await trio.sleep(0.01)


def each(by_link):
    """Every fault of each link's."""
    return pytest.mark.parametrize(
        ("link", "name"), [(link, name) for link, faults_ in by_link.items() for name in faults_], indirect=["link"]
    )


TO_COMMANDS = {"poll": faults.TO_COMMANDS, "stream": faults.TO_STREAMS}


@pytest.mark.parametrize("name", faults.ANYWHERE)
async def test_a_fault_anywhere(api, agent, name):
    async with agent() as running:
        await stored(say(api, "before"))
        times = 1 if "Retry-After" in name else 2
        for route in ("commands", "results", "status"):
            api.plan(route, faults.ANYWHERE[name], times=times)
        api.drop_streams()
        commands = [say(api, f"c{n}") for n in range(4)]
        await met(api)
        await stored(*(known for known in commands if not known.rejected))
        # one that was handed out twice before it was refused is sent again, and may be stored then
        while (await running.spool.counts()).rejected != sum(k.rejected and not k.answered.is_set() for k in commands):
            await trio.sleep(0.01)


@each(TO_COMMANDS)
async def test_an_answer_that_holds_no_commands(api, agent, link, name):
    async with agent():
        await stored(say(api, "before"))
        api.plan("commands", TO_COMMANDS[link][name])
        api.drop_streams()
        await stored(*(say(api, f"c{n}") for n in range(3)))
        await met(api)


@pytest.mark.parametrize("link", ["stream"], indirect=True)
async def test_a_stream_that_falls_silent(api, agent, link):
    """Half-open: the API goes on sending into the dark, and the agent is to notice by itself."""
    async with agent():
        await stored(say(api, "before"))
        api.mute_streams()
        await stored(*(say(api, f"c{n}") for n in range(3)))


SAYING_NOTHING = {"poll": faults.TO_RESULTS, "stream": {**faults.TO_RESULTS, "404": faults.status(404)}}


@each(SAYING_NOTHING)
async def test_a_result_whose_answer_says_nothing_of_it(api, agent, link, name):
    async with agent():
        api.plan("results", SAYING_NOTHING[link][name], times=3)
        await stored(*(say(api, f"c{n}") for n in range(3)))
        await met(api)
    for known in api.known:
        assert known.distinct == 1


@each(faults.REJECTING)
async def test_a_result_that_is_refused_is_kept_and_holds_up_nobody(api, agent, link, name):
    async with agent() as running:
        api.plan("results", faults.REJECTING[link][name])
        commands = [say(api, f"c{n}") for n in range(4)]
        await met(api)
        while (await running.spool.counts()).rejected != 1:
            await trio.sleep(0.01)
        await stored(*(known for known in commands if not known.rejected))
    assert sum(known.rejected for known in commands) == 1


async def test_refused_connections(api, agent):
    async with agent() as running:
        await stored(say(api, "before"))
        api.refuse()
        while running.agent.circuit.failures < 3:
            await trio.sleep(0.01)
        waiting = [say(api, f"c{n}") for n in range(3)]
        api.listen()
        await stored(*waiting)


async def test_connecting_hangs(api, agent):
    async with agent() as running:
        await stored(say(api, "before"))
        api.stall()
        while "no connection in time" not in (running.agent.circuit.reason or ""):
            await trio.sleep(0.01)
        api.listen()


async def test_a_result_that_is_too_large_is_cut_and_sent(api, agent):
    api.max_body_bytes = 60_000
    async with agent():
        what = "pour-400000-large"
        large = api.queue(what, command_id="large", expected=prints(what))
        api.plan("results", faults.early_413)
        await stored(large, say(api, "small"))
    (result,) = large.results
    assert result["truncated"] is True
    assert 10_000 < len(result["output"]) < 60_000
    assert result["output_bytes"] > 400_000


async def test_a_result_that_is_too_large_at_any_size_is_refused(api, agent):
    api.max_body_bytes = 10
    async with agent() as running:
        say(api, "any").rejected = True
        while (await running.spool.counts()).rejected != 1:
            await trio.sleep(0.01)
        api.max_body_bytes = 1e9


async def test_a_token_that_is_rotated(api, agent):
    async with agent() as running:
        await stored(say(api, "before"))
        api.token = "another"
        waiting = [say(api, f"c{n}") for n in range(3)]
        while 401 not in {seen.status for seen in api.requests}:
            await trio.sleep(0.01)
        running.token_file.write_text("another\n")
        await stored(*waiting)


async def test_ids_repeated_and_reordered(api, agent):
    async with agent():
        commands = [say(api, f"c{n}") for n in range(6)]
        chance = random.Random(1)
        for _ in range(4):
            api.hand_out(*commands)
            api.shuffle(chance)
            await trio.sleep(0.1)
        await stored(*commands)


async def test_hundreds_of_commands_at_once(api, agent, link):
    """Those beyond the room there is are answered, not run and not dropped."""
    commands = [{"id": f"many-{n}", "args": ["get", "pods", f"say-0-many-{n}"]} for n in range(300)]
    async with agent() as running:
        await stored(say(api, "before"))
        for command in commands:
            api.handed_out(api.know(str(command["id"]), command), link)
        api.plan("commands", faults.holds(commands))
        api.drop_streams()
        api.again_seconds = 1e9
        await stored(*(api.record[command["id"]] for command in commands))
        ran = sum(running.started(command["id"]) for command in commands)
    results = [api.record[command["id"]].results[0] for command in commands]
    most = 20 if link == "poll" else 150  # a stream's come in pieces of 64 KiB, and some are run meanwhile
    assert 1 <= ran <= most
    assert sum(result["success"] for result in results) == ran
    assert all("no room" in result["error"] for result in results if not result["success"])


async def test_a_huge_answer_isnt_read_to_its_end(api, agent, link, monkeypatch):
    sent, most = 0, MAX_BODY_BYTES + 40_000_000
    status = b"200 OK" if link == "poll" else b"500 Oh"  # a stream has no end

    async def endless(exchange):
        nonlocal sent
        await exchange.connection.body()
        await exchange.connection.send(b"HTTP/1.1 " + status + b"\r\ntransfer-encoding: chunked\r\n\r\n")
        while sent < most:
            await exchange.connection.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
            sent += 65536
        await trio.sleep_forever()

    async with agent():
        monkeypatch.setattr("agent.link.http.WHOLE_SECONDS", 10.0)  # it is the size that ends it, not the time
        await stored(say(api, "before"))
        api.plan("commands", endless)
        api.drop_streams()
        await met(api)
        await stored(say(api, "a"))
        await trio.sleep(0.1)
    assert MAX_BODY_BYTES < sent < MAX_BODY_BYTES + 20_000_000, "some more is in the kernel"


ODD: list[Any] = [
    None,
    7,
    "x",
    [],
    {},
    {"args": ["get", "pods"]},
    {"id": None, "args": []},
    {"id": 7, "args": ["get", "pods"]},
    {"id": ["x"], "args": ["get", "pods"]},
    {"id": "", "args": ["get", "pods"]},
    {"id": "\x00", "args": ["get", "pods"]},
    {"id": "i" * 100_000, "args": ["get", "pods"]},
]
"""Nobody can be answered."""

WRONG: list[dict[str, Any]] = [
    {},
    {"args": None},
    {"args": "get pods"},
    {"args": {"0": "get"}},
    {"args": []},
    {"args": [["get"]]},
    {"args": ["get", None]},
    {"args": ["get", 5]},
    {"args": ["\ud800"]},
    {"args": ["get", "pods\x00"]},
    {"args": ["get", "pods", "x" * 200_000]},
    {"args": ["get"] * 5_000},
    {"args": ["get", "pods"], "timeout": "soon"},
    {"args": ["get", "pods"], "timeout": -1},
    {"args": ["get", "pods"], "timeout": True},
    {"args": ["get", "pods"], "timeout": float("nan")},
    {"args": ["get", "pods"], "tool": "helm"},
    {"args": ["get", "pods"], "tool": {"x": 1}},
    {"args": ["delete", "pods", "--all"]},
    {"args": ["get", "secrets"]},
]
"""The id is readable: each gets an error result."""


ROUNDS = 100 if THOROUGH else 40


async def test_many_malformed_answers(api, agent, link):
    """What can be answered is answered, the rest is skipped, and the agent goes on."""
    chance = random.Random(100)
    slow = {"50 MB", "commands lost on the way", "silent", "in pieces"}
    whole = [fault for name, fault in TO_COMMANDS[link].items() if name not in slow and "of 50 MB" not in name]
    number = 0
    async with agent(LOG_LEVEL="ERROR"):
        for _ in range(ROUNDS):
            if chance.random() < 0.4:
                api.plan("commands", chance.choice([*whole, faults.html(), faults.garbage, faults.bad_chunks]))
                continue
            commands = chance.sample(ODD, 2)
            for fields in chance.sample(WRONG, 2):
                number += 1
                known = api.know(f"wrong-{number}", {}, lambda result: bool(result["error"]))
                api.handed_out(known, link)
                commands.append({"id": known.id, **fields})
            api.plan("commands", faults.holds(commands))
        api.again_seconds = 1e9
        api.drop_streams()
        await met(api)
        wrong = [known for known in api.known if known.id.startswith("wrong-")]
        await stored(*wrong)
    assert len(wrong) > ROUNDS
    assert not any(known.results[0]["success"] for known in wrong)
