"""From the journal through guard and kubectl to a result: how each kind of end is told, and what outlasts a stop."""

import sqlite3
from dataclasses import replace
from typing import Any

import pytest
import trio

from agent.errors import KubectlError, SpoolError, SpoolFull
from agent.executor import Executor
from agent.guard import DEFAULT_POLICY, parse_policy
from agent.metrics import Metrics
from agent.model import PIECE_CHARS, Command, Outcome, Result
from agent.spool import journal
from tests.tasks.fakes import DONE, FakeKubectl, run_until, until


class Policies:
    """A policy file."""

    def __init__(self):
        self.policy = DEFAULT_POLICY

    def current(self):
        return self.policy


class Executing:
    """An executor with its neighbours."""

    def __init__(self, spool):
        self.spool = spool
        self.kubectl = FakeKubectl()
        self.policies = Policies()
        self.metrics = Metrics()
        neighbours: Any = (spool, self.kubectl, self.policies, self.metrics)
        self.executor = Executor(*neighbours, count=4, timeout_max=60)

    async def accept(self, *names, **fields):
        """Commands whose id and last argument are the same."""
        await self.spool.accept([Command(name, ("get", "pods", name), **fields) for name in names])

    async def until_done(self):
        """Run what there is."""
        await run_until(lambda: self.spool.unfinished == 0, self.executor.run)

    async def result(self):
        """The oldest result, and what is stored of both streams."""
        delivery = await self.spool.take()
        texts = [b"".join([text async for text in delivery.pieces(stream)]).decode() for stream in ("stdout", "stderr")]
        return delivery.result, *texts


@pytest.fixture
def executing(small_spool, events):
    return Executing(small_spool)


def prints(text, stream="stdout", then=DONE):
    async def run(sink):
        await sink(stream, text)
        return then

    return run


async def test_a_command_runs_and_its_output_is_kept(executing, events, virtual_clock):
    async def run(sink):
        await trio.sleep(0.012)
        await sink("stdout", "hello\n")
        return replace(DONE, output_bytes=6)

    executing.kubectl.plans["a"] = run
    await executing.accept("a", correlation_id="trace", session_id="session")
    await executing.until_done()
    result, stdout, stderr = await executing.result()
    assert (result.outcome, result.exit_code, result.error) == (Outcome.SUCCEEDED, 0, None)
    assert (result.execution_time_ms, result.output_bytes, result.truncated) == (12, 6, False)
    assert (stdout, stderr) == ("hello\n", "")
    assert executing.kubectl.calls[0][0][-2:] == ("pods", "a")
    (line,) = events["command finished"]
    assert (line["command_id"], line["correlation_id"], line["outcome"]) == ("a", "trace", "succeeded")
    assert 'kubently_commands_finished_total{outcome="succeeded"} 1' in executing.metrics.render()


@pytest.mark.parametrize(
    ("ended", "outcome", "code", "says"),
    [
        (Result(Outcome.FAILED, 3), Outcome.FAILED, 3, None),
        (Result(Outcome.TIMED_OUT, 143, "ended after 10 s"), Outcome.TIMED_OUT, 143, "ended after 10 s"),
        (KubectlError("it isn't there"), Outcome.UNSTARTED, None, "it isn't there"),
    ],
)
async def test_how_it_ended_is_told(executing, ended, outcome, code, says):
    executing.kubectl.plans["a"] = ended
    await executing.accept("a")
    await executing.until_done()
    result, *_ = await executing.result()
    assert (result.outcome, result.exit_code, result.error) == (outcome, code, says)


async def test_what_the_guard_refuses_isnt_started(executing):
    await executing.spool.accept([Command("a", ("delete", "pods", "--all"))])
    await executing.until_done()
    result, *_ = await executing.result()
    assert (result.outcome, result.exit_code) == (Outcome.REFUSED, None)
    assert "delete" in result.error
    assert result.rule
    assert executing.kubectl.calls == []


@pytest.mark.parametrize(
    ("asked", "policy", "seconds"),
    [(None, None, 10), (5.0, None, 5), (600.0, None, 60), (30.0, 20, 20), (5.0, 20, 5), (None, 2, 2)],
)
async def test_the_time_limit_is_the_smallest_of_all(executing, asked, policy, seconds):
    if policy is not None:
        executing.policies.policy = parse_policy(f"max_timeout_seconds = {policy}")
    await executing.accept("a", timeout=asked)
    await executing.until_done()
    assert executing.kubectl.calls[0][1] == seconds


async def test_the_most_output_is_the_spools_or_the_policys(executing):
    await executing.accept("a", "b")
    executing.spool.claim()
    await run_until(lambda: executing.kubectl.calls, executing.executor.run)
    assert executing.kubectl.calls[0][2] == 4 << 20
    executing.policies.policy = parse_policy("max_output_bytes = 5000")
    await executing.accept("c")
    await run_until(lambda: len(executing.kubectl.calls) == 2, executing.executor.run)
    assert executing.kubectl.calls[1][2] == 5000


async def test_much_output_goes_to_the_spool_in_pieces(executing, monkeypatch):
    appended = []
    real = executing.spool.append

    async def append(command_id, stream, text):
        appended.append((stream, len(text)))
        return await real(command_id, stream, text)

    async def flood(sink):
        for _ in range(10):
            await sink("stdout", "x" * (PIECE_CHARS // 4))
            await sink("stderr", "e")
        return DONE

    monkeypatch.setattr(executing.spool, "append", append)
    executing.kubectl.plans["a"] = flood
    await executing.accept("a")
    await executing.until_done()
    _, stdout, stderr = await executing.result()
    assert (len(stdout), stderr) == (10 * PIECE_CHARS // 4, "e" * 10)
    assert len(appended) == 2
    assert all(stream == "stdout" and 0 < size <= PIECE_CHARS for stream, size in appended)


async def test_a_stop_in_the_middle_leaves_an_answer_with_what_was_printed(executing, virtual_clock):
    async def endless(sink):
        await sink("stdout", "so far\nghp_0aB1cD2")
        await trio.sleep_forever()

    executing.kubectl.plans["a"] = endless
    await executing.accept("a")
    with trio.move_on_after(3):
        await executing.executor.run()
    result, stdout, _ = await executing.result()
    assert (result.outcome, stdout) == (Outcome.INTERRUPTED, "so far\n")
    assert "stopped while this ran" in result.error
    assert result.execution_time_ms >= 2000


async def test_a_stop_that_comes_in_a_group_is_a_stop_too(executing, virtual_clock):
    async def in_a_nursery(sink):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)

    executing.kubectl.plans["a"] = in_a_nursery
    await executing.accept("a")
    with trio.move_on_after(3) as scope:
        await executing.executor.run()
    assert scope.cancelled_caught
    assert (await executing.result())[0].outcome is Outcome.INTERRUPTED


async def test_a_disk_that_cant_be_written_is_tried_again(executing, events, monkeypatch, virtual_clock):
    """It is told once, and the result isn't lost."""
    real, tries = executing.spool.finish, []

    async def finish(*args):
        tries.append(args)
        if len(tries) <= 3:
            raise SpoolFull("no room")
        return await real(*args)

    monkeypatch.setattr(executing.spool, "finish", finish)
    executing.kubectl.plans["a"] = prints("hello")
    await executing.accept("a")
    await executing.until_done()
    result, stdout, _ = await executing.result()
    assert (result.outcome, stdout) == (Outcome.SUCCEEDED, "hello")
    assert len(events["result can't be written, trying again"]) == 1


async def test_a_result_outlasts_a_stop_but_not_for_ever(executing, events, monkeypatch, virtual_clock):
    async def finish(*_):
        raise SpoolFull("never")

    monkeypatch.setattr(executing.spool, "finish", finish)
    await executing.accept("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executing.executor.run)
        await until(lambda: events["result can't be written, trying again"])
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(20)
        assert not events["result given up, the command runs again at the next start"]
        executing.spool.patient = False
    assert len(events["result given up, the command runs again at the next start"]) == 1
    assert not events["command finished"]


async def test_what_kubectl_leaves_after_that_is_tried_once(executing, events, monkeypatch, virtual_clock):
    async def ends_slowly(sink):
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        await trio.lowlevel.checkpoint()

    async def finish(*_):
        raise SpoolFull("never")

    monkeypatch.setattr(executing.spool, "finish", finish)
    executing.kubectl.plans["a"] = ends_slowly
    await executing.accept("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executing.executor.run)
        await until(lambda: executing.kubectl.calls)
        nursery.cancel_scope.cancel()
        executing.spool.patient = False
    assert len(events["result given up, the command runs again at the next start"]) == 1


async def test_a_spool_that_is_broken_ends_the_task(executing, monkeypatch):
    """Even behind the shield of a result that is being written down: it can't be."""

    async def broken(*_):
        raise SpoolError("damaged")

    monkeypatch.setattr(executing.spool, "finish", broken)
    await executing.accept("a")
    with pytest.raises(SpoolError, match="damaged"):
        await executing.executor.run()


@pytest.mark.parametrize("takes", [0, 1, 2])
async def test_output_that_finds_no_room_is_cut_without_holes_and_says_so(executing, monkeypatch, takes):
    """The disk is full of something else: the command ends in the ordinary way."""
    tried, real = [], journal.append
    text = "".join(f"{n:07}\n" for n in range(6 * PIECE_CHARS // 8))

    async def flood(sink):
        for begin in range(0, len(text), PIECE_CHARS // 2):
            await sink("stdout", text[begin : begin + PIECE_CHARS // 2])
        return DONE

    def append(db, seq, stream, part, text):
        tried.append(text)
        if len(tried) <= takes:
            return real(db, seq, stream, part, text)
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(journal, "append", append)
    executing.kubectl.plans["a"] = flood
    await executing.accept("a")
    await executing.until_done()
    result, stdout, _ = await executing.result()
    assert (result.outcome, result.truncated) == (Outcome.SUCCEEDED, True)
    assert text.startswith(stdout)
    assert len(set(tried)) == takes + 1, "it isn't tried for each piece"
    assert bool(stdout) == bool(takes)


SECRET = "Quiet7Harbour2291"


async def test_no_credential_reaches_spool_log_or_metrics(executing, events, tmp_path):
    async def run(sink):
        await sink("stdout", f"DB_PASSWORD: {SECRET[:5]}")
        await sink("stderr", f"url https://admin:{SECRET}@k8s.example.com/\n")
        await sink("stdout", f"{SECRET[5:]}\nMODE: fast\n")
        return DONE

    executing.kubectl.plans["a"] = run
    await executing.accept("a")
    await executing.until_done()
    result, stdout, stderr = await executing.result()
    assert stdout == "DB_PASSWORD: <redacted>\nMODE: fast\n"
    assert stderr == "url https://admin:<redacted>@k8s.example.com/\n"
    assert result.redactions == 2
    assert 'kubently_redactions_total{kind="url"} 1' in executing.metrics.render()
    assert events["command finished"][0]["redactions"] == 2
    assert SECRET not in repr(events)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and SECRET[5:].encode() in file.read_bytes()]


@pytest.mark.parametrize("then", [replace(DONE, truncated=True), Result(Outcome.TIMED_OUT, 143, "ended after 10 s")])
async def test_output_that_was_cut_ends_before_its_last_word(executing, then):
    executing.kubectl.plans["a"] = prints("mode: fast\nuse ghp_0aB1cD2", then=then)
    await executing.accept("a")
    await executing.until_done()
    assert (await executing.result())[1] == "mode: fast\nuse "


async def test_the_policy_switches_redaction_off(executing):
    executing.policies.policy = parse_policy("redact = false")
    executing.kubectl.plans["a"] = prints(f"password: {SECRET}", then=replace(DONE, truncated=True))
    await executing.accept("a")
    await executing.until_done()
    result, stdout, _ = await executing.result()
    assert (stdout, result.redactions) == (f"password: {SECRET}", 0)


async def test_output_that_cant_be_redacted_is_left_out_and_said(executing, events, monkeypatch):
    monkeypatch.setattr("agent.redact.redactor.SECONDS", -1.0)
    executing.kubectl.plans["a"] = prints(f"password: {SECRET}\n")
    await executing.accept("a")
    await executing.until_done()
    result, stdout, _ = await executing.result()
    assert stdout == "\n<28 characters left out: redaction failed (TimeoutError)>\n"
    assert result.redactions == 0
    assert events["redaction failed, output was left out"][0]["windows"] == 1
    assert 'kubently_redactions_total{kind="failed"} 1' in executing.metrics.render()
