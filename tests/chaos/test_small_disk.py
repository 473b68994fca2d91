"""The whole agent on a file system of 16 MB, against an API that hands out commands and takes no results."""

import os

import pytest
import trio

from tests.chaos import faults
from tests.chaos.api import fault_api
from tests.chaos.disk import MEBIBYTE, small_disk
from tests.chaos.inside import agent_inside
from tests.chaos.record import judge
from tests.chaos.standin import prints

pytestmark = pytest.mark.chaos

RESULTS = 500 if os.environ.get("CHAOS_FULL") else 100
"""Of 200 KB each: the short form is more than the disk holds too."""


async def test_what_fits_is_taken_none_is_lost_all_is_delivered(tmp_path, monkeypatch):
    folder = tmp_path / "disk"
    with small_disk(folder, 16 * MEBIBYTE, otherwise=pytest.skip), trio.fail_after(240):
        async with fault_api() as api, agent_inside(api, folder, monkeypatch, max_bytes=256 << 20) as agent:
            api.chance = lambda route: faults.status(503) if route == "results" else None
            for n in range(RESULTS):
                what = f"pour-200000-c{n}"
                api.ask(what, command_id=f"c{n}", expected=prints(what))
            idle = 0
            while idle < 5:  # until no more are taken
                await trio.sleep(0.2)
                idle = idle + 1 if agent.spool.room == 0 and not agent.spool._tally.running else 0
            taken = len(api.record.handed_out)
            counts = await agent.spool.counts()
            assert 20 < taken < RESULTS
            assert counts.accepted < 10, "a few may wait for room"
            assert counts.pending_bytes > 4 * MEBIBYTE, "a good part of the disk is used"
            assert agent.spool.room == 0
            api.chance = lambda route: None
            for known in api.record.commands.values():
                await known.stored.wait()
    verdict = judge(api.record, rejected=[], accepted=[], runs=[])
    assert verdict.well, verdict
    assert all(len(known.results[0]["output"]) > 200_000 for known in api.record.commands.values())
