"""An agent that is started while its disk is nearly full, by something else."""

from agent.spool import Limits, open_spool, space
from agent.spool.space import PAGE_BYTES
from tests.tasks.spool.kit import MB, accept, deliver_all, run

LIMITS = Limits(max_bytes=32 * MB, output_bytes=64 * 1024, journal=2000)


async def test_what_was_delivered_isnt_forgotten_for_a_disk_that_is_full(path, monkeypatch):
    """It takes no more room than it has. An id that is forgotten would run again when it is handed out again."""
    names = [f"c{n}" for n in range(600)]
    async with open_spool(path, LIMITS) as spool:
        for name in names:
            await run(spool, name)
        await deliver_all(spool)
    monkeypatch.setattr(space, "disk_free", lambda _: 100 * PAGE_BYTES)
    async with open_spool(path, LIMITS) as spool:
        await spool.sweep()
        await spool.sweep()
        await accept(spool, *names)
        assert spool.claim() is None
        assert (await spool.counts()).accepted == 0


async def test_room_that_others_give_back_is_used_without_a_restart(path, monkeypatch):
    free = 4 * MB
    monkeypatch.setattr(space, "disk_free", lambda _: free)
    async with open_spool(path, LIMITS) as spool:
        small = (await spool.counts()).capacity_bytes
        free = 500 * MB
        await spool.sweep()
        assert small < 8 * MB < (await spool.counts()).capacity_bytes == LIMITS.max_bytes
        free = 1 * MB
        await spool.sweep()
        assert (await spool.counts()).capacity_bytes == LIMITS.max_bytes, "what is full now is seen elsewhere"
