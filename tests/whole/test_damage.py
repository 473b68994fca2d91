"""A spool that breaks while the agent works with it: it ends with one sentence, and the next start mends it."""

from pathlib import Path

import trio

from demo.api import reference_api
from tests.chaos.disk import break_pages
from tests.kit.agent import agent_process
from tests.rehearsal.stage import results_answered_with

RESULTS = 8


async def test_it_ends_and_the_next_start_mends_it(tmp_path: Path) -> None:
    async with reference_api(links=["poll"]) as api, agent_process(api, tmp_path) as agent:
        api.interfere = results_answered_with(503)
        ids = [await api.ask(["get", "pods", "flood-200000"]) for _ in range(RESULTS)]
        with trio.fail_after(60):
            await agent.until("command finished", RESULTS)
            break_pages(agent.spool)
            api.interfere = None
            assert await agent.process.wait() == 1
        (line,) = agent.events("stopping, a task failed")
        assert "is damaged" in line["reason"]
        assert "Start the agent again: it moves the file aside" in line["reason"]

        await agent.start()
        with trio.fail_after(60):
            for command_id in ids:
                await api.record[command_id].answered.wait()
            fresh = await api.ask(["get", "pods", "echo-fresh"])
            await api.record[fresh].answered.wait()
        (line,) = agent.events("the spool was damaged: moved aside, a new one begun")
        assert Path(line["moved_to"]).exists()
        assert line["damaged"] > 0
        outputs = {len(api.record[command_id].answers[-1].output) for command_id in ids}
        assert outputs == {0, 200_000}, "whole, or answered with an error"
