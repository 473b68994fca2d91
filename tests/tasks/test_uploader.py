"""From the spool to the API: what each answer does to a result, to its siblings, and to a stop."""

from functools import partial
from itertools import pairwise

import pytest
import trio

from agent.circuit import Circuit, Trust
from agent.errors import DamagedResult, LinkDown, SpoolError, SpoolFull
from agent.link import Reply, Verdict
from agent.metrics import Metrics
from agent.model import Command, Outcome, Result, json_bytes
from agent.spool import results
from agent.uploader import BREAKS, BREAKS_OF_SMALL, REFUSALS, Uploader
from tests.tasks.fakes import FakeLink, run_until, until

OK = Result(Outcome.SUCCEEDED, exit_code=0)
STORED = Reply(Verdict.STORED, 200)


class Uploading:
    """An uploader with its neighbours."""

    def __init__(self, spool):
        self.spool = spool
        self.link = FakeLink()
        self.metrics = Metrics()
        self.circuit = Circuit(lambda: 0.5, lambda: spool.pending)
        pace = Circuit(lambda: 0.5, lambda: 7, what="status")
        self.trust = Trust(pace, self.circuit, self.link.recognise)
        self.uploader = Uploader(self.link, spool, self.trust, self.metrics, lambda: 0.5)

    async def result(self, name, stdout="", stderr=""):
        """One that is due."""
        await self.spool.accept([Command(name, ("get", "pods"), correlation_id=f"trace-{name}")])
        self.spool.claim()
        await self.spool.finish(name, OK, [("stdout", stdout), ("stderr", stderr)])

    async def until_done(self):
        """Deliver what there is."""
        await run_until(lambda: self.spool.pending == 0, self.uploader.run)

    async def with_all(self, reply, seconds=600):
        """Deliver for so long; `reply` says what becomes of each result, by its name."""

        async def answer():
            return reply(self.sent[-1])

        self.link.replies += [answer] * 1000
        with trio.move_on_after(seconds):
            await self.uploader.run()
        return await self.spool.counts()

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


async def test_before_the_first_result_the_api_is_recognised(uploading, autojump_clock):
    uploading.link.answers += [LinkDown("refused"), LinkDown("refused"), True]
    await uploading.result("a")
    await uploading.until_done()
    assert uploading.link.recognised == 3
    assert uploading.sent == ["a"]


@pytest.mark.parametrize("status", [None, 200, 301, 401, 403, 404, 408, 425, 429, 500, 502, 503])
async def test_after_any_failure_it_is_recognised_again(uploading, status, autojump_clock):
    """A default backend says yes to everything."""
    at = []

    async def ask():
        at.append(len(uploading.sent))
        return len(at) > 3

    for name in "abc":
        await uploading.result(name)
    uploading.link.answers += [ask] * 4
    uploading.link.replies += [Reply(Verdict.LATER, status, "not now")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uploading.uploader.run)
        await trio.sleep(1)
        uploading.trust.recognised()
        await trio.sleep(10)
        assert uploading.sent == ["a"]
        await until(lambda: uploading.spool.pending == 0)
        nursery.cancel_scope.cancel()
    assert sorted(uploading.sent) == ["a", "a", "b", "c"]
    assert at[1:] == [1, 1, 1]


@pytest.mark.parametrize("status", [200, 307, 401, 403, 404, 500, 503])
async def test_a_status_belongs_to_the_result_that_it_answers(uploading, status, autojump_clock):
    for name in "abc":
        await uploading.result(name)
    uploading.link.replies.append(Reply(Verdict.LATER, status, "no"))
    await uploading.until_done()
    assert uploading.sent == ["a", "b", "c", "a"]


async def test_one_that_met_the_beginning_of_an_outage_is_first_after_it(uploading, autojump_clock):
    for name in "ab":
        await uploading.result(name)
    uploading.link.replies.append(Reply(Verdict.LATER, None, "refused"))
    await uploading.until_done()
    assert uploading.sent == ["a", "a", "b"]


@pytest.mark.parametrize("status", [200, 307, 401, 403, 404, 451])
async def test_one_that_is_answered_and_never_taken_is_set_aside(uploading, events, status, autojump_clock):
    for name in "abc":
        await uploading.result(name)
    disliked = Reply(Verdict.LATER, status, "blocked")
    counts = await uploading.with_all(lambda name: disliked if name == "a" else STORED)
    assert (counts.delivered, counts.rejected) == (2, 1)
    assert uploading.sent.count("a") == REFUSALS
    assert [line["reason"] for line in events["result not taken, sent again later"]] == ["blocked"]
    (line,) = events["result refused by the API, kept"]
    assert (line["command_id"], line["status"]) == ("a", status)


@pytest.mark.parametrize("status", [408, 425, 429])
async def test_whoever_asks_for_a_pause_dislikes_nothing(uploading, status, autojump_clock):
    await uploading.result("a")
    counts = await uploading.with_all(lambda _: Reply(Verdict.LATER, status, "busy"), seconds=3600)
    assert (counts.pending, counts.rejected) == (1, 0)


@pytest.mark.parametrize("status", [None, 500, 502])
async def test_a_small_one_that_alone_breaks_is_set_aside_and_holds_up_nobody(uploading, status, autojump_clock):
    for name in "abc":
        await uploading.result(name)
    counts = await uploading.with_all(lambda name: Reply(Verdict.LATER, status, "x") if name == "a" else STORED, 1200)
    assert (counts.delivered, counts.rejected) == (2, 1)
    assert uploading.sent.count("a") == BREAKS_OF_SMALL


async def test_where_none_gets_through_none_is_given_up(uploading, autojump_clock):
    for name in "abc":
        await uploading.result(name)
    counts = await uploading.with_all(lambda _: Reply(Verdict.LATER, 502, "no"), seconds=7200)
    assert (counts.pending, counts.rejected) == (3, 0)


@pytest.mark.parametrize("status", [None, 502])
@pytest.mark.parametrize("others", [True, False])
async def test_a_size_that_never_passes_is_cut_as_for_a_413(uploading, events, status, others, autojump_clock):
    async def up_to_1_mb():
        large = uploading.sizes[-1] > 1_000_000
        return Reply(Verdict.LATER, status, "reset") if large else STORED

    await uploading.result("a", "x" * 3_000_000)
    uploading.link.replies += [up_to_1_mb] * 100
    if others:
        await uploading.result("b", "small")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uploading.uploader.run)
        await until(lambda: uploading.spool.pending == 0)
        nursery.cancel_scope.cancel()
    assert uploading.sizes.count(3_000_000) == BREAKS
    assert uploading.sizes[-1] == 900_000
    assert uploading.link.delivered[-1][1].truncated
    assert [line["cut_to_bytes"] for line in events["result too large on its way, cut"]] == [900_000]


@pytest.mark.parametrize("status", [500, 503, 504])
async def test_an_api_in_trouble_has_nothing_cut_however_long_it_lasts(uploading, status, autojump_clock):
    await uploading.result("b", "small")
    await uploading.with_all(lambda _: STORED, 10)
    uploading.link.replies.clear()
    await uploading.result("a", "x" * 200_000)
    counts = await uploading.with_all(lambda _: Reply(Verdict.LATER, status, "down"), 7200)
    assert (counts.pending, counts.rejected) == (1, 0)
    assert set(uploading.sizes[1:]) == {200_000}


async def test_its_waits_grow_with_its_attempts(uploading, autojump_clock):
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
    assert waits[:6] == [1, 2, 4, 8, 16, 30]


async def test_small_ones_pass_a_large_one(uploading, autojump_clock):
    """And the large ones go one at a time."""
    under_way = []

    async def slowly():
        name = uploading.sent[-1]
        if name.startswith("large"):
            under_way.append(name)
            assert len(under_way) == 1
            await trio.sleep(100)
            under_way.remove(name)
        return STORED

    for name in ("large 1", "large 2"):
        await uploading.result(name, "x" * 100_000)
    uploading.link.replies += [slowly] * 10
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uploading.uploader.run)
        for _ in range(3):
            nursery.start_soon(partial(uploading.uploader.run, small=True))
        await trio.sleep(10)
        for name in "ab":
            await uploading.result(name)
        await trio.sleep(1)
        assert uploading.sent == ["large 1", "a", "b"]
        await until(lambda: uploading.spool.pending == 0)
        nursery.cancel_scope.cancel()


async def test_retry_after_is_obeyed(uploading, autojump_clock):
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
    assert [line["cut_to_bytes"] for line in events["result too large on its way, cut"]] == [900_000, 450_000, 225_000]


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
        length = sum(json_bytes(text.encode()) for text in uploading.link.delivered[-1][2].values())
        return Reply(Verdict.STORED, 200) if length <= most else Reply(Verdict.TOO_LARGE, 413)

    await uploading.result("a", stdout, stderr)
    uploading.link.replies += [up_to_that] * 20
    await uploading.until_done()
    assert (await uploading.spool.counts()).delivered == 1
    _, result, texts = uploading.link.delivered[-1]
    assert result.truncated
    assert most / 8 < sum(json_bytes(text.encode()) for text in texts.values()) <= most


async def test_a_cut_that_cant_be_written_is_tried_again(uploading, monkeypatch, autojump_clock):
    real, tries = results.cut, []

    def cut(db, seq, *rest):
        tries.append(seq)
        if len(tries) <= 2:  # with others, then by itself
            raise SpoolFull("disk I/O error")
        return real(db, seq, *rest)

    monkeypatch.setattr(results, "cut", cut)
    await uploading.result("a", "x" * 5000)
    uploading.link.replies += [Reply(Verdict.TOO_LARGE, 413)] * 2
    await uploading.until_done()  # no deadline: the clock would jump to it while the spool's thread is busy
    assert uploading.sizes == [5000, 5000, 2500]


async def test_a_send_that_is_cancelled_is_due_again(uploading, autojump_clock):
    await uploading.result("a")
    uploading.link.replies.append(trio.sleep_forever)
    with trio.move_on_after(5):
        await uploading.uploader.run()
    assert (await uploading.spool.take()).command_id == "a"


async def test_what_the_api_said_is_done_even_in_a_stop(uploading, monkeypatch, autojump_clock):
    real = uploading.spool.cut

    async def slowly(seq, most):
        await trio.sleep(3)
        await real(seq, most)

    monkeypatch.setattr(uploading.spool, "cut", slowly)
    await uploading.result("a", "x" * 3000)
    uploading.link.replies.append(Reply(Verdict.TOO_LARGE, 413))
    with trio.move_on_after(1):
        await uploading.uploader.run()
    assert (await uploading.spool.take()).result.truncated


async def test_a_result_that_turns_out_damaged_is_sent_as_what_took_its_place(uploading, autojump_clock):
    await uploading.result("a")
    began = trio.current_time()
    uploading.link.replies += [DamagedResult("damaged")] * 3  # again and again while the disk takes nothing else
    await uploading.until_done()
    assert uploading.sent == ["a"] * 4
    assert trio.current_time() - began >= 3


async def test_a_spool_that_fails_is_tried_again(uploading, events, monkeypatch, autojump_clock):
    real, tries = uploading.spool.take, []

    async def take(limit=None):
        tries.append(limit)
        if len(tries) <= 3:
            raise SpoolFull("unreadable")
        return await real(limit)

    monkeypatch.setattr(uploading.spool, "take", take)
    await uploading.result("a")
    await uploading.until_done()
    assert uploading.sent == ["a"]
    assert events["results can't be read or marked, trying again"] == [{"reason": "unreadable"}]


async def test_a_spool_that_is_broken_ends_the_task(uploading, monkeypatch, autojump_clock):
    async def take(_):
        raise SpoolError("damaged")

    monkeypatch.setattr(uploading.spool, "take", take)
    await uploading.result("a")
    with pytest.raises(SpoolError, match="damaged"), trio.fail_after(60):
        await uploading.uploader.run()


async def test_one_that_finds_nothing_to_take_waits_again(uploading, monkeypatch):
    """Somebody else took it between waking up and looking."""
    real, tries = uploading.spool.take, []

    async def take(limit=None):
        tries.append(limit)
        return None if len(tries) == 1 else await real(limit)

    monkeypatch.setattr(uploading.spool, "take", take)
    await uploading.result("a")
    await uploading.until_done()
    assert uploading.sent == ["a"]
