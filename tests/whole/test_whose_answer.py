"""Who answers in the API's place, what something on the way dislikes, and what becomes of results. Real sockets."""

from functools import partial

import pytest
import trio

from tests.chaos.inside import agent_inside
from tests.kit import faults
from tests.kit.api import fake_api
from tests.kit.wire import Answer
from tests.tasks.fakes import Events, until


@pytest.fixture(params=["poll", "stream"])
async def api(request):
    with trio.fail_after(120):
        async with fake_api([request.param]) as api:
            yield api


@pytest.fixture
def agent(api, tmp_path, monkeypatch):
    return partial(agent_inside, api, tmp_path, monkeypatch, KUBENTLY_LINK=next(iter(api.links)))


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
async def test_a_default_backend_that_says_yes_to_everything_gets_no_result(api, agent, tmp_path, monkeypatch, says):
    async with agent() as running:
        for wait in ("WAIT_ACTIVE", "WAIT_IDLE"):
            monkeypatch.setattr(f"agent.link.poll.{wait}", 1)  # that the API holds a poll is what its 204 is known by
        known = [api.queue("until-go") for _ in range(4)]
        await until(lambda: len(api.known) == 4)
        api.refuse()
        (tmp_path / "go").touch()
        pending = running.spool._pending

        def all_wait():  # and none is on its way any more
            known = running.agent._trust._recognised.is_set()
            return len(pending.sizes) == 4 and not known and not any(map(pending.is_taken, pending.sizes))

        await until(all_wait)
        asked: list[str] = []

        def instead(route):
            asked.append(route)
            return YES[says]

        api.chance = instead
        api.listen()
        await until(lambda: len(asked) >= 8)
        assert "results" not in asked
        assert running.spool.pending == 4
        api.chance = lambda route: None
        for each in known:
            await each.answered.wait()


@pytest.mark.parametrize("blocks", [faults.html(403), faults.status(401), faults.plain_404])
async def test_one_result_that_something_dislikes_holds_up_nobody(api, agent, monkeypatch, blocks):
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
    events = Events()
    monkeypatch.setattr("agent.log.sinks", [events.take])
    async with agent():
        for limit in ("poll.READ_MARGIN_SECONDS", "http.WHOLE_SECONDS", "network.CONNECT_SECONDS"):
            monkeypatch.setattr(f"agent.link.{limit}", 30.0)  # nothing hangs here; it may be slow, on a busy machine
        api.queue("echo-disliked")
        others = [api.queue(f"echo-{n}") for n in range(8)]
        for each in others:
            await each.answered.wait()
        await until(lambda: events["result not taken, sent again later"])
        assert not events["API can't be reached"]


async def test_bodies_over_a_size_that_are_reset_are_cut(api, agent):
    async def limits(exchange):
        body = await exchange.connection.body()
        if len(body) > 300_000:
            exchange.connection.reset()
        else:
            await exchange.connection.answer(await exchange.proceed(body))

    api.chance = lambda route: limits if route == "results" else None
    async with agent():
        large = api.queue("flood-400000")
        small = api.queue("echo-small")
        await small.answered.wait()
        await large.answered.wait()
    assert 100_000 < large.answers[0].body.bytes < 300_000
