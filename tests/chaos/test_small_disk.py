"""The whole agent on a file system of 16 MB, against an API that hands out commands and takes no results."""

import pytest
import trio

from agent.link.poll import PollLink
from agent.link.stream import StreamLink
from tests.chaos.disk import MEBIBYTE, small_disk
from tests.chaos.inside import agent_inside
from tests.chaos.record import judge
from tests.chaos.standin import prints
from tests.kit import THOROUGH, faults
from tests.kit.api import fake_api

pytestmark = pytest.mark.chaos

EXECUTORS = 4
JOURNAL = {"poll": PollLink.journal + PollLink.burst, "stream": StreamLink.journal}
RESULTS = 500 if THOROUGH else 120
"""Of 200 KB each. The disk holds 38 of them, and on a stream 64 more may wait: some are beyond that in any case."""


async def taken_up(agent, number):
    """Until so many commands have reached the agent and it has room again, or nothing runs that could make any.

    Were they pushed all at once, a few would find room, whose outputs might be larger, and the disk would stay empty.
    """
    spool = agent.spool
    while len(spool._waiting) + len(spool._running) + spool.pending < number or (spool._running and spool.room == 0):
        await trio.sleep(0.005)


@pytest.mark.parametrize("link", ["poll", "stream"])
async def test_what_fits_is_taken_none_is_lost_all_is_delivered(tmp_path, monkeypatch, link):
    folder = tmp_path / "disk"
    inside = {"max_bytes": 256 << 20, "KUBENTLY_LINK": link}
    with small_disk(folder, 16 * MEBIBYTE, otherwise=pytest.skip), trio.fail_after(240):
        async with fake_api([link]) as api, agent_inside(api, folder, monkeypatch, **inside) as agent:
            api.chance = lambda route: faults.status(503) if route == "results" else None
            for n in range(RESULTS):
                what = f"pour-200000-c{n}"
                api.queue(what, command_id=f"c{n}", expected=prints(what))
                if link == "stream":
                    await taken_up(agent, n + 1)
            idle = 0
            while idle < 5:  # until no more are taken
                await trio.sleep(0.2)
                idle = idle + 1 if agent.spool.room == 0 and not agent.spool._running else 0
            taken = len(api.known)
            counts = await agent.spool.counts()
            assert taken == RESULTS if link == "stream" else 20 < taken < RESULTS
            assert counts.accepted <= EXECUTORS + JOURNAL[link], "what was taken while there was room waits for it now"
            assert counts.pending_bytes > 4 * MEBIBYTE, "a good part of the disk is used"
            assert agent.spool.room == 0
            api.chance = lambda route: None
            for known in api.record:
                await known.answered.wait()
    verdict = judge(api, rejected=[], accepted=[], runs=[])
    assert verdict.well, verdict
    results = [known.answers[0].result for known in api.record]
    cut = sum("[Cut: " in result["output"] for result in results)
    whole = sum(len(result["output"]) > 200_000 and "[Cut: " not in result["output"] for result in results)
    busy = sum("no room for more" in (result["error"] or "") for result in results)
    assert whole + cut + busy == RESULTS
    assert cut == 0, "a command runs only where its whole output finds room"
    assert busy == 0 if link == "poll" else 0 < busy < RESULTS - 20, "what is pushed beyond the room has its answer"
