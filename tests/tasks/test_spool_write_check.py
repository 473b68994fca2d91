"""The write that readiness depends on."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.spool import Limits, open_spool

LIMITS = Limits(max_bytes=1 << 26)


async def test_it_is_a_real_write(tmp_path: Path):
    async with open_spool(tmp_path / "spool.db", LIMITS) as spool:
        await spool.try_write()
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as db:
        assert db.execute("select count(*) from meta where key = 'checked_at'").fetchone() == (1,)


async def test_a_closed_spool(tmp_path: Path):
    async with open_spool(tmp_path / "spool.db", LIMITS) as spool:
        pass
    with pytest.raises(SpoolError, match="closed"):
        await spool.try_write()
