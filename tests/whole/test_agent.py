"""The whole agent, as its user sees it: a real process, a real API on a socket, real signals."""

import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
import trio

from demo.api import reference_api
from tests.kit.agent import agent_process, ask


@pytest.fixture(params=["poll", "stream"])
async def api(request):
    async with reference_api(links=[request.param]) as api:
        yield api


POLL = pytest.mark.parametrize("api", ["poll"], indirect=True)
"""For what has nothing to do with the link."""


async def answers(api, ids):
    return [(await api.result(command_id)).result for command_id in ids]


def lives(pid):
    """Whether the process runs. One that has ended may stay in the table until process 1 looks after it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_from_the_api_through_kubectl_to_the_api(api, tmp_path):
    async with agent_process(api, tmp_path):
        good, bad, refused = (
            await ask(api, "echo-hello"),
            await ask(api, "fail"),
            await ask(api, ["delete", "pod", "x"]),
        )
        with trio.fail_after(60):
            hello, failed, denied = await answers(api, [good, bad, refused])
    assert hello["success"] is True
    assert hello["output"] == "hello\n"
    assert hello["error"] is None
    assert hello["exit_code"] == 0
    assert (failed["success"], failed["exit_code"]) == (False, 3)
    assert failed["output"].startswith("some output\n")
    assert failed["error"].startswith("no such pod\n")
    assert (denied["success"], denied["exit_code"]) == (False, None)
    assert "delete" in denied["error"]
    assert api.problems == []


async def test_no_credential_leaves(api, tmp_path):
    """Not in the result, not in the spool's files, not in the log."""
    (tmp_path / "pod.yaml").write_text("- name: DB_PASSWORD\n  value: Quiet7Harbour\n- name: MODE\n  value: fast\n")
    async with agent_process(api, tmp_path, LOG_LEVEL="DEBUG") as agent:
        answer = await api.result(await ask(api, "show-pod.yaml"))
        kept = [file.read_bytes() for file in agent.spool.parent.glob(f"{agent.spool.name}*")]
    assert "name: DB_PASSWORD\n  value: <redacted>\n- name: MODE\n  value: fast\n" in answer.result["output"]
    assert kept
    assert not [file for file in [*kept, agent.log.read_bytes()] if b"Quiet7Harbour" in file]
    assert "Quiet7Harbour" not in str(answer.body)


async def test_a_large_result_arrives_whole(api, tmp_path):
    async with agent_process(api, tmp_path):
        for size in (20, 2_000_000):
            answer = await api.result(await ask(api, f"flood-{size}"))
            assert answer.result["success"] is True
            assert answer.result["exit_code"] == 0
    assert api.problems == []
    assert answer.body.bytes > 2_000_000


async def test_a_short_command_overtakes_long_ones(api, tmp_path):
    async with agent_process(api, tmp_path):
        long = [await ask(api, "until-go"), await ask(api, "until-go")]
        short = await ask(api, "echo-short")
        with trio.fail_after(60):
            await api.result(short)
            assert not any(api.record[i].answers for i in long)
            (tmp_path / "go").touch()
            await answers(api, long)


@POLL
async def test_a_timeout_ends_the_whole_family_and_keeps_what_was_printed(api, tmp_path):
    async with agent_process(api, tmp_path):
        slow = await ask(api, "family-60", timeout=1)
        with trio.fail_after(60):
            result = (await api.result(slow)).result
    assert result["success"] is False
    assert result.get("timed_out") is True, result
    assert re.search(r"after (1|0\.\d) s", result["error"])
    with trio.fail_after(60):
        for pid in map(int, result["output"].splitlines()[0].split()):
            while lives(pid):  # it has its signal, and dies when it gets the processor
                await trio.sleep(0.01)


async def test_results_wait_for_an_api_that_is_away(api, tmp_path):
    async with agent_process(api, tmp_path) as agent:
        ids = [await ask(api, "until-go") for _ in range(4)]
        with trio.fail_after(60):
            await agent.until("command accepted", 4)
            await api.stop()
            (tmp_path / "go").touch()
            await agent.until("command finished", 4)
            await agent.until("API can't be reached")
            await api.start()
            results = await answers(api, ids)
            assert all(r["success"] for r in results)
            await agent.until("API reached again")
            await ask(api, "echo-afterwards")
            await agent.until("result delivered", 5)


READ_ONLY = """
import sqlite3, sys
for row in sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute(sys.argv[2]):
    print(*row, sep="|")
"""


async def ask_spool(path, question):
    """What a person at the prompt sees: the sqlite3 command, or Python's where that isn't installed."""
    command = ["sqlite3", "-readonly"] if shutil.which("sqlite3") else [sys.executable, "-c", READ_ONLY]
    return (await trio.run_process([*command, str(path), question], capture_stdout=True)).stdout.decode()


@POLL
async def test_the_spool_answers_while_alive_stuck_and_dead(api, tmp_path):
    question = "select command_id from backlog"
    async with agent_process(api, tmp_path) as agent:
        await agent.until("starting")
        waiting = await ask(api, "until-go")
        await agent.until("command accepted")
        await api.stop()
        (tmp_path / "go").touch()
        await agent.until("command finished")
        assert await ask_spool(agent.spool, question) == f"{waiting}\n"
        agent.process.send_signal(signal.SIGSTOP)
        assert await ask_spool(agent.spool, question) == f"{waiting}\n"
        agent.process.send_signal(signal.SIGCONT)
        await agent.kill()
        assert await ask_spool(agent.spool, question) == f"{waiting}\n"


async def test_sigterm_drains(api, tmp_path):
    async with agent_process(api, tmp_path) as agent:
        slow = await ask(api, "sleep-1")
        await agent.until("command accepted")
        with trio.fail_after(60):
            assert await agent.stop() == 0
    assert api.record[slow].answers[0].result["output"] == "began\nended\n"
    assert agent.events("drained, everything is delivered")


@POLL
async def test_a_command_that_outlasts_the_drain_is_answered(api, tmp_path):
    async with agent_process(api, tmp_path, KUBENTLY_DRAIN_SECONDS="2", KUBENTLY_EXECUTORS="1") as agent:
        slow, never = await ask(api, "sleep-50", timeout=55), await ask(api, "echo-never")
        await agent.until("command accepted", 2)
        with trio.fail_after(60):
            assert await agent.stop(signal.SIGINT) == 0
    slow, never = (api.record[i].answers[0].result for i in (slow, never))
    assert slow["success"] is False
    assert slow["output"].startswith("began\n")
    assert "ended" not in slow["output"].splitlines()
    assert "stopped while this ran" in slow["error"]
    assert "before this was started" in never["error"]


@POLL
async def test_what_a_drain_couldnt_deliver_is_named(api, tmp_path):
    async with agent_process(api, tmp_path, KUBENTLY_DRAIN_SECONDS="1") as agent:
        waiting = await ask(api, "until-go")
        await agent.until("command accepted")
        await api.stop()
        (tmp_path / "go").touch()
        await agent.until("command finished")
        with trio.fail_after(60):
            assert await agent.stop() == 0
    (line,) = agent.events(
        "stopped with commands unanswered: they go with the volume, or are answered at the next start"
    )
    assert line["command_ids"] == [waiting]


@POLL
async def test_a_second_signal_stops_at_once(api, tmp_path):
    async with agent_process(api, tmp_path, KUBENTLY_DRAIN_SECONDS="300") as agent:
        slow = await ask(api, "sleep-200", timeout=250)
        await agent.until("kubectl starts")
        agent.process.send_signal(signal.SIGTERM)
        await agent.until("signal, draining")
        with trio.fail_after(60):
            assert await agent.stop(signal.SIGINT) == 128 + signal.SIGINT
    assert not api.record[slow].answers
