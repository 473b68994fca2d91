"""The agent's life: what runs, the order in which it stops, and what the last line says."""

import signal
from dataclasses import replace
from functools import partial

import pytest
import trio

import agent.run as run_module
from agent.config import Config
from agent.errors import KubectlError, LinkDown, SpoolError, SpoolFull
from agent.link import Batch, Reply, Verdict
from agent.model import Command
from agent.run import FAILED, SIGNALLED, STOPPED, run
from agent.spool import Limits, Spool, open_spool
from tests.tasks.fakes import DONE, FakeKubectl, FakeLink, until


@pytest.fixture
def link():
    return FakeLink()


@pytest.fixture
def kubectl():
    return FakeKubectl()


@pytest.fixture
def config(tmp_path):
    return Config.from_environ(
        {
            "KUBENTLY_API_URL": "http://localhost:1",
            "CLUSTER_ID": "prod",
            "KUBENTLY_TOKEN": "t0ken",
            "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db"),
            "KUBENTLY_SPOOL_MAX_BYTES": "32Mi",
            "KUBENTLY_MAX_OUTPUT_BYTES": "1Mi",
            "KUBENTLY_EXECUTORS": "1",
            "KUBENTLY_DRAIN_SECONDS": "20",
            "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
        }
    )


class Life:
    """The agent from its start to its exit code. A signal is sent once `until` holds."""

    def __init__(self, config):
        self.config = config
        self.code = None

    async def until_signalled(self, condition, *, number=signal.SIGTERM):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run)
            await until(condition)
            signal.raise_signal(number)
        return self.code

    async def _run(self):
        self.code = await run(self.config)


@pytest.fixture
def life(config, link, kubectl, monkeypatch, events):
    async def prepared(*_):
        return kubectl

    monkeypatch.setattr(run_module, "open_link", lambda *_: link)
    monkeypatch.setattr("agent.run.Kubectl.prepare", prepared)
    monkeypatch.setattr("agent.run.open_spool", partial(open_spool, inline=True))
    return Life(config)


def commands(*ids):
    return Batch([Command(each, ("get", "pods", each)) for each in ids])


async def test_a_life(life, link, events, virtual_clock):
    link.receives.append(commands("a", "b"))
    assert await life.until_signalled(lambda: len(link.delivered) == 2) == STOPPED
    assert link.closed
    said = [event for event, _ in events.lines]
    assert said[:2] == ["starting", "spool opened"]
    assert events["kubectl runs"] == [{"version": "v1.37.1"}]
    assert said[-3:] == ["signal, draining", "drained, everything is delivered", "stopped"]
    assert "t0ken" not in str(events.lines)


async def test_a_stop_takes_nothing_new_but_ends_what_it_has(life, link, kubectl, events, virtual_clock):
    async def slow(sink):
        await trio.sleep(5)
        return DONE

    kubectl.plans |= {"a": slow, "b": slow}
    link.receives.append(commands("a", "b"))
    assert await life.until_signalled(lambda: kubectl.calls) == STOPPED
    assert [result.success for _, result, _ in link.delivered] == [True, True]
    assert link.eager == [False, False]


async def test_large_results_go_one_at_a_time_and_small_ones_pass(life, link, kubectl, virtual_clock):
    """A line that takes a minute for one would take as long for all of them, and for all else."""
    sending: list[str] = []
    together: list[int] = []

    def printing(count):
        async def printed(sink):
            await sink("stdout", "x" * count)
            return DONE

        return printed

    async def slowly():
        name = link.delivered[-1][0]
        if name.startswith("large"):
            sending.append(name)
            together.append(len(sending))
            await trio.sleep(10)
            sending.remove(name)
        return Reply(Verdict.STORED, 200)

    names = ("large-1", "large-2", "small-1", "small-2")
    kubectl.plans |= {name: printing(100_000 if name.startswith("large") else 10) for name in names}
    link.replies += [slowly] * 4
    link.receives.append(commands(*names))
    assert await life.until_signalled(lambda: len(link.delivered) == 4) == STOPPED
    assert together == [1, 1]
    assert [name for name, *_ in link.delivered] == ["large-1", "small-1", "small-2", "large-2"]


async def test_a_spool_that_an_outage_has_filled_is_emptied(life, link, kubectl, virtual_clock):
    """The poller waits for room and asks nothing: the senders find out by themselves that the API is there again."""

    async def printed(sink):
        await until(lambda: len(link.eager) >= 2)
        await sink("stdout", "x" * 500_000)
        return DONE

    async def away():
        if not link.recognised:
            raise LinkDown("away")
        return Batch()

    names = ["a", "b", "c", "d"]
    life.config = replace(life.config, spool_max_bytes=4 << 20)
    kubectl.plans |= dict.fromkeys(names, printed)
    link.receives += [commands(*names), *[away] * 50]
    with trio.fail_after(60):
        assert await life.until_signalled(lambda: len(link.delivered) == 4) == STOPPED


async def test_an_api_that_is_back_is_recognised_during_a_stop(life, link, kubectl, events, virtual_clock):
    async def ends_in_the_outage(_):
        await until(lambda: len(link.eager) == 3)
        return DONE

    kubectl.plans["a"] = ends_in_the_outage
    link.receives += [commands("a"), LinkDown("away")]
    assert await life.until_signalled(lambda: events["command finished"]) == STOPPED
    assert [name for name, *_ in link.delivered] == ["a"]


async def test_what_an_answer_that_began_before_the_stop_brings_is_done_too(life, link, events, virtual_clock):
    async def ends_slowly():
        begun.set()
        with trio.CancelScope(shield=True):
            await trio.sleep(9)
        return commands("a")

    begun = trio.Event()
    link.receives.append(ends_slowly)
    assert await life.until_signalled(begun.is_set) == STOPPED
    assert [name for name, *_ in link.delivered] == ["a"]
    assert events["drained, everything is delivered"]


async def test_what_outlasts_the_drain_is_answered(life, link, kubectl, virtual_clock):
    async def endless(sink):
        await sink("stdout", "so far\n")
        await trio.sleep_forever()

    kubectl.plans["a"] = endless
    link.receives.append(commands("a", "b"))
    began = trio.current_time()
    assert await life.until_signalled(lambda: kubectl.calls) == STOPPED
    assert trio.current_time() - began < 20
    told = {name: (result.error, texts["stdout"]) for name, result, texts in link.delivered}
    assert "stopped while this ran" in told["a"][0]
    assert told["a"][1] == "so far\n"
    assert "stopped before this was started" in told["b"][0]


async def test_a_drain_that_is_over_before_kubectl_is(life, link, kubectl, events, virtual_clock):
    async def ends_slowly(sink):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)

    kubectl.plans["a"] = ends_slowly
    life.config = replace(life.config, drain_seconds=1.0)
    link.receives.append(commands("a"))
    assert await life.until_signalled(lambda: kubectl.calls) == STOPPED
    assert events["stopped"]


async def test_a_disk_that_takes_nothing_doesnt_keep_a_stop_from_delivering(
    life, link, kubectl, events, monkeypatch, virtual_clock
):
    """What was never started can't be answered then; the drain goes on to what can be delivered."""

    async def endless(sink):
        await trio.sleep_forever()

    real = Spool.finish

    async def finish(spool, command_id, *rest):
        if command_id == "c":
            raise SpoolFull("no room")
        await real(spool, command_id, *rest)

    monkeypatch.setattr(Spool, "finish", finish)
    kubectl.plans["b"] = endless
    link.receives.append(commands("a", "b", "c"))
    assert await life.until_signalled(lambda: len(kubectl.calls) == 2 and link.delivered) == STOPPED
    assert [name for name, *_ in link.delivered] == ["a", "b"]
    (line,) = events["stopped with commands unanswered: they go with the volume, or are answered at the next start"]
    assert (line["count"], line["command_ids"]) == (1, ["c"])
    assert events["stopped"]


async def test_what_cant_be_delivered_is_named(life, link, events, virtual_clock):
    link.receives.append(commands("a", "b"))
    link.replies.extend([Reply(Verdict.LATER, None, "refused")] * 1000)
    assert await life.until_signalled(lambda: len(events["command finished"]) == 2) == STOPPED
    (line,) = events["stopped with commands unanswered: they go with the volume, or are answered at the next start"]
    assert (line["count"], line["command_ids"]) == (2, ["a", "b"])


async def test_a_second_signal_ends_at_once(life, link, kubectl, events, monkeypatch, virtual_clock):
    class Ended(BaseException):
        pass

    def end(code):
        raise Ended(code)

    async def endless(sink):
        await trio.sleep_forever()

    monkeypatch.setattr("agent.run.os._exit", end)
    kubectl.plans["a"] = endless
    link.receives.append(commands("a"))
    with pytest.RaisesGroup(pytest.RaisesExc(Ended, match=str(SIGNALLED + signal.SIGINT)), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(life._run)
            await until(lambda: kubectl.calls)
            signal.raise_signal(signal.SIGTERM)
            await until(lambda: events["signal, draining"])
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()
    assert kubectl.killed
    assert events["second signal, stopping at once"] == [{"signal": "SIGINT"}]


@pytest.mark.parametrize(
    ("error", "says"),
    [(KubectlError("a sentence"), "a sentence"), (ZeroDivisionError("odd"), "ZeroDivisionError: odd (at ")],
)
async def test_a_task_that_fails_ends_all(life, link, error, says, events, virtual_clock):
    link.receives.append(error)
    await life._run()
    assert life.code == FAILED
    (line,) = events["stopping, a task failed"]
    assert line["reason"].startswith(says)
    assert link.closed
    async with open_spool(life.config.spool_path, Limits(32 << 20)):
        pass  # it was closed in good order


@pytest.mark.parametrize("fails", ["poller", "executor"])
async def test_a_task_that_fails_doesnt_wait_for_one_on_a_full_disk(
    life, link, kubectl, fails, events, monkeypatch, virtual_clock
):
    """What is being written down has its time, but an agent that doesn't end is no use to anybody."""
    tries: list[str] = []

    async def finish(_, command_id, *rest):
        await trio.lowlevel.checkpoint()
        if command_id == "b":
            raise SpoolError("broken")
        if len(tries) < 60:
            tries.append(command_id)
            raise SpoolFull("no room")

    async def break_down(*_):
        await until(lambda: tries)
        if fails == "poller":
            raise SpoolError("broken")
        return DONE

    monkeypatch.setattr("agent.spool.Spool.finish", finish)
    kubectl.plans["b"] = break_down
    life.config = replace(life.config, executors=2)
    link.receives.append(commands("a", "b") if fails == "executor" else commands("a"))
    link.receives.append(break_down if fails == "poller" else trio.sleep_forever)
    await life._run()
    assert life.code == FAILED
    assert len(tries) < 10
    assert events["stopping, a task failed"] == [{"reason": "broken"}]
    (line,) = events["result given up, the command runs again at the next start"]
    assert line == {"command_id": "a"}


async def test_what_was_found_at_the_start_is_told(life, link, events, virtual_clock):
    async with open_spool(life.config.spool_path, Limits(32 << 20)) as spool:
        await spool.accept(commands("a").commands)
    assert await life.until_signalled(lambda: link.delivered) == STOPPED
    (line,) = events["commands were unfinished when the agent ended last"]
    assert line == {"run_again": 1, "answered_interrupted": 0, "given_up": 0}
    life.config.spool_path.write_bytes(b"not a database at all" * 1000)
    assert await life.until_signalled(lambda: len(link.eager) == 2) == STOPPED
    (line,) = events["the spool was damaged: moved aside, a new one begun"]
    assert "damaged-" in str(line["moved_to"])
