"""From the spool to the API: what each answer does to a result, to its siblings, and to a stop."""

import random
from itertools import pairwise

import pytest
import trio

from agent.errors import SpoolError, SpoolFull
from agent.link import Reply, Verdict
from agent.log import Log
from agent.metrics import Metrics
from agent.model import Command, Outcome, Result, json_text
from agent.outage import Outage
from agent.reach import Reach
from agent.spool import results
from agent.uploader import Uploader
from tests.tasks.fakes import FakeLink, until

OK = Result(Outcome.SUCCEEDED, exit_code=0)


class Uploading:
    """An uploader with its neighbours."""

    def __init__(self, spool):
        self.spool = spool
        self.link = FakeLink()
        self.metrics = Metrics()
        self.outage = Outage(trio.current_time, lambda: 0.5)
        self.reach = Reach(self.outage, Log("api"), lambda: spool.pending)
        self.uploader = self.another()

    def another(self):
        return Uploader(self.link, self.spool, self.reach, metrics=self.metrics, random=lambda: 0.5)

    async def result(self, name, stdout="", stderr=""):
        """One that is due."""
        await self.spool.accept([Command(name, ("get", "pods"), correlation_id=f"trace-{name}")])
        self.spool.claim()
        await self.spool.finish(name, OK, [("stdout", stdout), ("stderr", stderr)])

    async def until_done(self):
        """Deliver what there is."""
        self.uploader.drain()
        await self.uploader.run()

    @property
    def sent(self):
        return [command_id for command_id, *_ in self.link.delivered]

    @property
    def sizes(self):
        return [len(texts["stdout"]) for *_, texts in self.link.delivered]


@pytest.fixture
def uploading(small_spool, events):
    return Uploading(small_spool)


async def test_results_are_sent_in_order_and_marked(uploading, events):
    for name in "abc":
        await uploading.result(name, name * 3)
    await uploading.until_done()
    assert [(name, texts["stdout"]) for name, _, texts in uploading.link.delivered] == [
        ("a", "aaa"),
        ("b", "bbb"),
        ("c", "ccc"),
    ]
    counts = await uploading.spool.counts()
    assert (counts.pending, counts.delivered) == (0, 3)
    assert events["result delivered"][0]["correlation_id"] == "trace-a"
    assert 'kubently_uploads_total{outcome="stored"} 3' in uploading.metrics.render()


@pytest.mark.parametrize("status", [None, 401, 403, 408, 425, 429, 503])
async def test_what_concerns_everybody_is_tried_again_by_whoever_is_next(uploading, status, virtual_clock):
    """The outage makes all wait; the result itself is due at once."""
    await uploading.result("a")
    uploading.link.replies.append(Reply(Verdict.LATER, status, "not now"))
    await uploading.until_done()
    assert uploading.sent == ["a", "a"]
    assert not uploading.outage.down


async def test_a_result_that_alone_meets_a_500_holds_up_nobody(uploading, virtual_clock):
    async def boom_for_a():
        alone = uploading.sent[-1] == "a"
        return Reply(Verdict.LATER, 500, "boom") if alone else Reply(Verdict.STORED, 200)

    for name in "abc":
        await uploading.result(name)
    uploading.uploader._random = random.Random(5).random
    uploading.link.replies += [boom_for_a] * 50
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uploading.uploader.run)
        while len(uploading.sent) <= 25 and not {"b", "c"} < set(uploading.sent):
            await trio.sleep(5)  # no deadline: on a busy machine the clock may jump to it
        await trio.sleep(120)
        nursery.cancel_scope.cancel()
    assert (await uploading.spool.counts()).delivered == 2
    assert uploading.sent.count("a") <= 25


async def test_its_waits_grow_with_its_attempts(uploading, virtual_clock):
    """Half of 2, 4, 8 ... seconds, with the draws of this test, and half a minute at most."""
    times = []

    async def refuse():
        times.append(trio.current_time())
        return Reply(Verdict.LATER, 500, "boom")

    await uploading.result("a")
    uploading.link.replies += [refuse] * 20
    with trio.move_on_after(200):
        await uploading.uploader.run()
    waits = [after - before for before, after in pairwise(times)]
    assert 1 <= waits[0] < 1.9
    assert waits[:6] == sorted(waits[:6])
    assert 30 <= waits[-1] <= 31


async def test_retry_after_is_obeyed(uploading, virtual_clock):
    began = trio.current_time()
    await uploading.result("a")
    uploading.link.replies.append(Reply(Verdict.LATER, 503, "busy", retry_after=40.0))
    await uploading.until_done()
    assert 40 <= trio.current_time() - began <= 45


async def test_what_the_api_refuses_is_kept_and_holds_up_nobody(uploading, events):
    await uploading.result("a", "kept")
    await uploading.result("b")
    uploading.link.replies.append(Reply(Verdict.REFUSED, 404, "unknown command"))
    await uploading.until_done()
    assert uploading.sent == ["a", "b"]
    assert not uploading.outage.down
    (line,) = events["result refused by the API, kept"]
    assert (line["command_id"], line["status"], line["reason"]) == ("a", 404, "unknown command")
    counts = await uploading.spool.counts()
    assert (counts.rejected, counts.delivered) == (1, 1)


async def test_what_is_too_large_is_cut_until_it_fits(uploading, events):
    too_large = Reply(Verdict.TOO_LARGE, 413)
    await uploading.result("a", "x" * 2_500_000)
    uploading.link.replies += [too_large] * 3
    await uploading.until_done()
    assert uploading.sizes == [2_500_000, 900_000, 450_000, 225_000]
    results = [result.truncated for _, result, _ in uploading.link.delivered]
    assert results == [False, True, True, True]
    assert [line["cut_to_bytes"] for line in events["result too large for the API, cut"]] == [900_000, 450_000, 225_000]


async def test_what_is_too_large_at_any_size_is_refused(uploading):
    await uploading.result("a", "x" * 3000)
    await uploading.result("b")
    uploading.link.replies += [Reply(Verdict.TOO_LARGE, 413, "no")] * 3
    await uploading.until_done()
    assert uploading.sizes == [3000, 1500, 750, 0]
    assert (await uploading.spool.counts()).rejected == 1


@pytest.mark.parametrize(
    ("stdout", "stderr"), [("\1" * 1_000_000, ""), ("", "\1" * 60_000), ("\1" * 30_000, "\1" * 60_000)]
)
async def test_what_is_larger_as_json_than_as_text_is_cut_too(uploading, stdout, stderr):
    """A log may be full of control characters: six bytes each."""
    most = 100_000

    async def up_to_that():
        length = sum(len(json_text(text)) for text in uploading.link.delivered[-1][2].values())
        return Reply(Verdict.STORED, 200) if length <= most else Reply(Verdict.TOO_LARGE, 413)

    await uploading.result("a", stdout, stderr)
    uploading.link.replies += [up_to_that] * 20
    await uploading.until_done()
    assert (await uploading.spool.counts()).delivered == 1
    _, result, texts = uploading.link.delivered[-1]
    assert result.truncated
    assert most / 8 < sum(len(json_text(text)) for text in texts.values()) <= most


async def test_a_cut_that_cant_be_written_is_tried_again(uploading, monkeypatch, virtual_clock):
    real, tries = results.cut, []

    def cut(db, seq, max_bytes):
        tries.append(seq)
        if len(tries) == 1:
            raise SpoolFull("disk I/O error")
        return real(db, seq, max_bytes)

    monkeypatch.setattr(results, "cut", cut)
    await uploading.result("a", "x" * 5000)
    uploading.link.replies += [Reply(Verdict.TOO_LARGE, 413)] * 2
    await uploading.until_done()  # no deadline: the clock would jump to it while the spool's thread is busy
    assert uploading.sizes == [5000, 5000, 2500]


async def test_those_that_never_get_through_hold_up_nobody(uploading, virtual_clock):
    """One for each uploader, lost on their way while the API is well for everybody else."""

    async def lost_or_stored():
        name = uploading.sent[-1]
        await trio.sleep(1)
        return Reply(Verdict.LATER, None, "reset") if name.startswith("large") else Reply(Verdict.STORED, 200)

    for name in ("large 1", "large 2", "a", "b"):
        await uploading.result(name)
    uploading.link.replies += [lost_or_stored] * 1000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uploading.uploader.run)
        nursery.start_soon(uploading.another().run)
        for _ in range(120):  # as the poller does
            await trio.sleep(1)
            uploading.reach.on_success(probe=False)
        nursery.cancel_scope.cancel()
    assert {"a", "b"} < set(uploading.sent)
    assert uploading.sent.count("large 1") < 20


async def test_a_send_that_is_cancelled_is_due_again(uploading, virtual_clock):
    await uploading.result("a")
    uploading.link.replies.append(trio.sleep_forever)
    with trio.move_on_after(5):
        await uploading.uploader.run()
    assert [delivery.command_id for delivery in await uploading.spool.take(5)] == ["a"]


async def test_what_the_api_said_is_written_down_even_in_a_stop(uploading, monkeypatch, virtual_clock):
    real = uploading.spool.delivered

    async def slowly(seq, status):
        await trio.sleep(3)
        await real(seq, status)

    monkeypatch.setattr(uploading.spool, "delivered", slowly)
    await uploading.result("a")
    with trio.move_on_after(1):
        await uploading.uploader.run()
    assert (await uploading.spool.counts()).delivered == 1


async def test_a_spool_that_fails_is_tried_again(uploading, events, monkeypatch, virtual_clock):
    real, tries = uploading.spool.take, []

    async def take(limit):
        tries.append(limit)
        if len(tries) <= 3:
            raise SpoolFull("unreadable")
        return await real(limit)

    monkeypatch.setattr(uploading.spool, "take", take)
    await uploading.result("a")
    await uploading.until_done()
    assert uploading.sent == ["a"]
    assert events["results can't be read or marked, trying again"] == [{"reason": "unreadable"}]


async def test_a_spool_that_is_broken_ends_the_task(uploading, monkeypatch):
    async def take(_):
        raise SpoolError("damaged")

    monkeypatch.setattr(uploading.spool, "take", take)
    await uploading.result("a")
    with pytest.raises(SpoolError, match="damaged"):
        await uploading.uploader.run()


async def test_siblings_share_the_work_and_all_end(uploading, virtual_clock):
    """The last result is one's; the others have nothing to do and still notice that the drain is over."""

    async def slow():
        await trio.sleep(2)
        return Reply(Verdict.STORED, 200)

    for name in "abc":
        await uploading.result(name)
    uploading.link.replies += [slow] * 3
    siblings = [uploading.another() for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for sibling in siblings:
            nursery.start_soon(sibling.run)
        await until(lambda: len(uploading.sent) == 3)
        for sibling in siblings:
            sibling.drain()
    assert sorted(uploading.sent) == ["a", "b", "c"]
    assert uploading.spool.pending == 0


async def test_one_that_finds_nothing_to_take_waits_again(uploading, monkeypatch):
    """Somebody else took it between waking up and looking."""
    real, tries = uploading.spool.take, []

    async def take(limit):
        tries.append(limit)
        return [] if len(tries) == 1 else await real(limit)

    monkeypatch.setattr(uploading.spool, "take", take)
    await uploading.result("a")
    await uploading.until_done()
    assert uploading.sent == ["a"]
