"""Who answers in the API's place, what something on the way dislikes, and what becomes of results. Real sockets."""

import sqlite3
from contextlib import closing

import pytest
import trio

from tests.kit import faults
from tests.kit.agent import agent_process
from tests.kit.api import fake_api
from tests.kit.wire import Answer


@pytest.fixture(params=["poll", "stream"])
async def api(request):
    async with fake_api([request.param]) as api:
        yield api


def delivered(agent):
    with closing(sqlite3.connect(f"file:{agent.spool}?mode=ro", uri=True)) as db:
        return {row[0] for row in db.execute("select command_id from commands where state = 'delivered'")}


async def nothing(exchange):
    await exchange.connection.body()
    await exchange.connection.answer(Answer(204))


YES = {
    "OK": faults.says(b"OK", content_type="text/plain"),
    "maintenance": faults.says(b'{"status": "maintenance"}'),
    "204": nothing,
    "broken": faults.says(b'{"commands": [{"id"'),
}


@pytest.mark.parametrize("says", YES)
async def test_a_default_backend_that_says_yes_to_everything_gets_no_result(api, tmp_path, says):
    async with agent_process(api, tmp_path) as agent:
        known = [api.queue("sleep-0.5") for _ in range(4)]
        await agent.until("command accepted", 4)
        api.refuse()
        await agent.until("command finished", 4)
        asked: list[str] = []

        def instead(route):
            asked.append(route)
            return YES[says]

        api.chance = instead
        api.listen()
        while len(asked) < 4:
            await trio.sleep(0.05)
        assert "results" not in asked
        assert delivered(agent) == set()
        api.chance = lambda route: None
        with trio.fail_after(240):
            for each in known:
                await each.answered.wait()


@pytest.mark.parametrize("blocks", [faults.html(403), faults.status(401), faults.plain_404])
async def test_one_result_that_something_dislikes_holds_up_nobody(api, tmp_path, blocks):
    async def firewall(exchange):
        body = await exchange.connection.body()
        if b"disliked" in body:
            exchange.connection.body = lambda: _read(body)
            await blocks(exchange)
        else:
            await exchange.connection.answer(await exchange.proceed(body))

    async def _read(body):
        return body

    api.chance = lambda route: firewall if route == "results" else None
    async with agent_process(api, tmp_path) as agent:
        api.queue("echo-disliked")
        others = [api.queue(f"echo-{n}") for n in range(8)]
        with trio.fail_after(240):
            for each in others:
                await each.answered.wait()
        await agent.until("result not taken, sent again later")
        assert agent.events("API can't be reached") == []


async def test_bodies_over_a_size_that_are_reset_are_cut(api, tmp_path):
    async def limits(exchange):
        body = await exchange.connection.body()
        if len(body) > 1_000_000:
            exchange.connection.reset()
        else:
            await exchange.connection.answer(await exchange.proceed(body))

    api.chance = lambda route: limits if route == "results" else None
    async with agent_process(api, tmp_path):
        large = api.queue("flood-1200000")
        small = api.queue("echo-small")
        with trio.fail_after(240):
            await small.answered.wait()
            await large.answered.wait()
    assert 100_000 < large.answers[0].body.bytes < 1_000_000
