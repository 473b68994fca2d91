"""From the API into the journal: what is taken, what is answered, what is waited for."""

import pytest
import trio

from agent.circuit import Circuit, Trust
from agent.errors import LinkDown, SpoolError, SpoolFull
from agent.link import Batch
from agent.metrics import Metrics
from agent.model import Command, Malformed, Outcome, Result
from agent.poller import Poller
from tests.tasks.fakes import FakeLink, until

DONE = Result(Outcome.SUCCEEDED, exit_code=0)


class Polling:
    """A poller with its neighbours."""

    def __init__(self, spool, link):
        self.spool = spool
        self.link = link
        self.metrics = Metrics()
        self.circuit = Circuit(lambda: 0.5, lambda: 0)
        pace = Circuit(lambda: 0.5, lambda: 7, what="status")
        self.trust = Trust(pace, self.circuit, link.recognise)
        self.poller = Poller(link, spool, self.circuit, self.trust, self.metrics)

    async def until_asked(self, times):
        """Run it until it has asked the API so often."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.poller.run)
            await until(lambda: len(self.link.eager) >= times)
            nursery.cancel_scope.cancel()

    async def outcomes(self):
        """What was answered without running."""
        found = {}
        while (delivery := await self.spool.take()) is not None:
            found[delivery.command_id] = delivery.result
        return found


@pytest.fixture
def polling(small_spool, events):
    return Polling(small_spool, FakeLink())


def commands(*ids):
    return [Command(each, ("get", "pods")) for each in ids]


async def test_what_is_received_is_journalled(polling, events, autojump_clock):
    command = Command("a", ("get", "pods"), correlation_id="trace", session_id="session")
    polling.link.receives.append(Batch([command, *commands("b")]))
    await polling.until_asked(2)
    assert [(polling.spool.claim()).command.id for _ in range(2)] == ["a", "b"]
    assert [line["command_id"] for line in events["command accepted"]] == ["a", "b"]
    assert events["command accepted"][0]["correlation_id"] == "trace"
    assert polling.metrics.render().count("kubently_commands_accepted_total 2") == 1


async def test_known_ids_are_not_accepted_again(polling, events, autojump_clock):
    polling.link.receives += [Batch(commands("a", "a")), Batch(commands("a", "b"))]
    await polling.until_asked(3)
    assert [line["command_id"] for line in events["command accepted"]] == ["a", "b"]
    assert [line["command_id"] for line in events["command known already, not run again"]] == ["a", "a"]


async def test_what_makes_no_sense_is_answered_or_counted(polling, events, autojump_clock):
    polling.link.receives.append(Batch([], [Malformed("m", (), reason="no args")], skipped=3))
    await polling.until_asked(2)
    (result,) = (await polling.outcomes()).values()
    assert (result.outcome, result.error, result.rule) == (Outcome.REFUSED, "no args", "shape")
    assert events["commands passed over: no readable id, or far too many"] == [{"count": 3}]
    assert "kubently_commands_skipped_total 3" in polling.metrics.render()


async def test_what_is_beyond_the_room_is_answered_busy(polling, events, autojump_clock):
    """Four in the journal, ten more because the API may hand out so many at a time; the rest can't be kept."""
    polling.link.receives.append(Batch(commands(*(f"c{n}" for n in range(20)))))
    with trio.move_on_after(60):
        await polling.poller.run()
    answered = await polling.outcomes()
    assert set(answered) == {f"c{n}" for n in range(14, 20)}
    assert {result.outcome for result in answered.values()} == {Outcome.BUSY}
    assert len(events["command accepted"]) == 14


async def test_without_room_the_api_isnt_asked(polling, autojump_clock):
    await polling.spool.accept(commands("1", "2", "3", "4"))
    with trio.move_on_after(3600):
        await polling.poller.run()
    assert polling.link.eager == []
    assert "poller" not in polling.metrics.alive_until, "waiting for room isn't silence"


async def test_room_that_comes_back_is_used(polling, autojump_clock):
    await polling.spool.accept(commands("1", "2", "3", "4"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(polling.poller.run)
        await trio.sleep(10)
        assert polling.link.eager == []
        claim = polling.spool.claim()
        await polling.spool.finish(claim.command.id, DONE)
        await trio.sleep(1)
        assert polling.link.eager == [False]
        nursery.cancel_scope.cancel()


async def test_a_link_that_pushes_is_read_even_without_room(small_spool, events, autojump_clock):
    polling = Polling(small_spool, FakeLink(pulls=False, burst=0))
    await small_spool.accept(commands("1", "2", "3", "4"))
    polling.link.receives.append(Batch(commands("5")))
    await polling.until_asked(2)
    assert (await polling.outcomes())["5"].outcome is Outcome.BUSY


async def test_while_the_api_is_away_one_asks_now_and_then(polling, events, autojump_clock):
    polling.link.receives += [LinkDown("connection refused")] * 3 + [Batch()]
    await polling.until_asked(5)
    assert polling.link.eager == [False, True, True, True, False]
    told = [event for event, _ in events.lines]
    assert [event for event in told if "asked" not in event] == ["API can't be reached", "API reached again"]
    assert events["asked in vain"] == [{"reason": "connection refused"}] * 3
    assert events["asked"] == [{"commands": 0, "malformed": 0}]
    assert 'kubently_polls_total{outcome="failed"} 3' in polling.metrics.render()
    assert 'kubently_polls_total{outcome="empty"} 1' in polling.metrics.render()


async def test_a_refused_agent_says_so_loudly(polling, events, autojump_clock):
    polling.link.receives.append(LinkDown("HTTP 401", "Look at the token.", status=401, refused=True))
    await polling.until_asked(2)
    assert events["API refuses this agent"] == [{"reason": "HTTP 401", "todo": "Look at the token."}]
    assert 'kubently_polls_total{outcome="refused"} 1' in polling.metrics.render()


async def test_what_is_recognised_is_trusted_until_something_fails(polling, autojump_clock):
    known = []

    async def look():
        known.append(polling.trust._recognised.is_set())
        return Batch(recognised=len(known) > 1)

    polling.link.receives += [look, look, look, LinkDown("reset"), look, look]
    await polling.until_asked(7)
    assert known == [False, False, True, False, True]


async def test_an_api_that_never_answers_polls_isnt_hammered(polling, autojump_clock):
    polling.link.receives += [LinkDown("HTTP 500", status=500)] * 30
    with trio.move_on_after(300):
        await polling.poller.run()
    assert 10 <= len(polling.link.eager) <= 16


async def test_what_was_received_outlasts_a_full_disk_and_a_stop(polling, events, monkeypatch, autojump_clock):
    """It is in memory only: nothing may stop the poller before it is written."""
    real, tries = polling.spool.accept, []

    async def accept(*batch):
        tries.append(trio.current_time())
        if len(tries) < 5:
            raise SpoolFull("no room")
        return await real(*batch)

    monkeypatch.setattr(polling.spool, "accept", accept)
    polling.link.receives.append(Batch(commands("a")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(polling.poller.run)
        await until(lambda: tries)
        nursery.cancel_scope.cancel()
    assert len(tries) == 5
    assert (polling.spool.claim()).command.id == "a"
    assert events["commands can't be journalled, trying again"] == [{"reason": "no room"}]


async def test_what_comes_after_the_time_for_last_writes_is_tried_once(polling, events, monkeypatch, autojump_clock):
    tries = []

    async def accept(*_):
        tries.append(trio.current_time())
        raise SpoolFull("no room")

    async def late():
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        return Batch(commands("a"))

    monkeypatch.setattr(polling.spool, "accept", accept)
    polling.link.receives.append(late)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(polling.poller.run)
        await until(lambda: polling.link.eager)
        nursery.cancel_scope.cancel()
        polling.spool.patient = False
    assert len(tries) == 1
    (line,) = events["commands received but not journalled: the API must hand them out again"]
    assert line["command_ids"] == ["a"]


async def test_a_poller_at_work_is_no_silent_one(polling, autojump_clock):
    with trio.move_on_after(800):
        await polling.poller.run()
    assert polling.metrics.alive_until["poller"] == pytest.approx(trio.current_time() + 100)


async def test_a_stop_doesnt_wait_for_ever_for_a_disk(polling, events, monkeypatch, autojump_clock):
    async def accept(*_):
        raise SpoolFull("no room")

    monkeypatch.setattr(polling.spool, "accept", accept)
    polling.link.receives.append(Batch(commands("a")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(polling.poller.run)
        await until(lambda: events["commands can't be journalled, trying again"])
        nursery.cancel_scope.cancel()
        polling.spool.patient = False
    (line,) = events["commands received but not journalled: the API must hand them out again"]
    assert line["command_ids"] == ["a"]


async def test_a_spool_that_is_broken_ends_the_task_and_names_what_is_lost(polling, events, monkeypatch):
    async def accept(*_):
        raise SpoolError("damaged")

    monkeypatch.setattr(polling.spool, "accept", accept)
    polling.link.receives.append(Batch(commands("a")))
    with pytest.raises(SpoolError, match="damaged"):
        await polling.poller.run()
    (line,) = events["commands received but not journalled: the API must hand them out again"]
    assert line["command_ids"] == ["a"]


async def test_what_is_journalled_isnt_called_lost(polling, events, monkeypatch):
    real = polling.spool.accept

    async def accept(commands, result):
        if result:
            raise SpoolError("damaged")
        return await real(commands)

    monkeypatch.setattr(polling.spool, "accept", accept)
    polling.link.receives.append(Batch(commands("a", "b"), [Malformed("m", (), reason="no args")]))
    with pytest.raises(SpoolError, match="damaged"):
        await polling.poller.run()
    (line,) = events["commands received but not journalled: the API must hand them out again"]
    assert line["command_ids"] == ["m"]


async def test_an_api_that_repeats_itself_isnt_hammered(polling, autojump_clock):
    polling.link.receives += [Batch(commands("a"))] * 100
    with trio.move_on_after(20):
        await polling.poller.run()
    assert 15 <= len(polling.link.eager) <= 22
