"""Spools of released versions: this version reads each, and what was waiting in it comes to its end.

A file here is never changed. A new release adds its own: the dump of a spool with a command in each state.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.model import Outcome
from agent.spool import open_spool
from agent.spool.space import beside
from tests.tasks.spool.kit import LIMITS, OK, Hands, command, text

GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.sql"))
HANDS = Hands(1_795_000_010.0, 5_010.0, "golden")


def lay(golden: Path, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(golden.read_text())
    beside(path, ".lock").write_text("kubently-agent, process 1\n")


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.stem)
async def test_what_waits_in_a_released_versions_spool_comes_to_its_end(path: Path, golden: Path) -> None:
    lay(golden, path)
    async with open_spool(path, LIMITS, clock=HANDS.clock) as spool:
        assert spool.recovery.damage is None
        assert spool.recovery.rerun == 3
        claims = [spool.claim() for _ in range(3)]
        assert [claim and claim.command.id for claim in claims] == ["c-running", "c-accepted", "c-search"]
        search = claims[2]
        assert search is not None
        assert search.command.request == {"namespace": "shop", "selector": "app=web", "query": "ERROR"}
        for claim in claims:
            assert claim is not None
            await spool.finish(claim.command.id, OK)
        arrived = {}
        while delivery := await spool.take():
            arrived[delivery.command_id] = (
                delivery.result.outcome,
                await text(delivery),
                await text(delivery, "stderr"),
            )
            spool.delivered(delivery.seq, 200)
        assert arrived["c-spooled"] == (Outcome.SUCCEEDED, "output of spooled\n", "a warning\n")
        assert arrived["c-busy"] == (Outcome.BUSY, "", "")
        assert (await spool.accept([command("c-delivered")])).known == ("c-delivered",)
        assert (await spool.counts()).rejected == 1


def test_the_schema_of_the_last_release_is_frozen(path: Path) -> None:
    """A change is a migration of its own, and a golden spool more."""

    def schema(db: sqlite3.Connection) -> set[str]:
        return {sql for (sql,) in db.execute("select sql from sqlite_schema where sql is not null")}

    lay(GOLDEN[-1], path)
    from agent.spool.opening import create  # noqa: PLC0415

    with closing(sqlite3.connect(path)) as golden, closing(sqlite3.connect(create(path))) as fresh:
        assert schema(golden) == schema(fresh)
