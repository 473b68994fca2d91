"""KUBENTLY_SPOOL_MAX_BYTES alone is enough for a small spool: what depends on it follows it."""

import pytest
import trio

from demo.api import reference_api
from tests.kit.agent import agent_process


@pytest.mark.parametrize(("most", "at_most"), [("4Mi", 512 << 10), ("16Mi", 2 << 20)])
async def test_a_small_spool_works(most, at_most, tmp_path):
    async with (
        reference_api(links=["poll"]) as api,
        agent_process(api, tmp_path, KUBENTLY_SPOOL_MAX_BYTES=most) as agent,
    ):
        with trio.fail_after(60):
            answer = await api.result(await api.ask(["get", "pods", "flood-3000000"]))
            assert answer.result["success"] is True
            assert 100_000 < len(answer.result["output"]) < 2_200_000
        assert [event["KUBENTLY_MAX_OUTPUT_BYTES"] for event in agent.events("starting")] == [at_most]
