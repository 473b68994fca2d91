"""Maintenance of a spool that remembers very many results."""

import sqlite3
import tracemalloc
from dataclasses import replace

import pytest
from sqlite_utils import Database

from agent.model import Command, Outcome, Result, Stream
from agent.spool import maintenance, results
from agent.spool.clock import Clock
from agent.spool.journal import append, insert_command
from agent.spool.schema import migrations
from agent.spool.values import NOTHING, Written

ROWS = 5_000
SIZE = 20
OK = Result(Outcome.SUCCEEDED, exit_code=0, output_bytes=SIZE)


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    migrations.apply(Database(connection, execute_plugins=False, recursive_triggers=False))
    yield connection
    connection.close()


def settled(db, state):
    now, output = Clock().unix_ms(), b"x" * SIZE
    db.execute("begin")
    for number in range(ROWS):
        command = Command(f"c{number}", ("get", "pods"))
        seq = insert_command(db, command, "spooled", now)
        assert seq is not None
        append(db, seq, "stdout", 0, output)
        whole: dict[Stream, Written] = {"stdout": NOTHING.plus(output), "stderr": NOTHING}
        results.store(db, replace(results.answer(seq, command, OK), output=whole), now)
        results.settle(db, seq, state, 200, None, now, True)
    db.execute("commit")


@pytest.mark.parametrize(("state", "source"), [("delivered", maintenance.KEPT), ("rejected", maintenance.REJECTED)])
def test_it_takes_no_more_memory_than_in_a_small_one(db, state, source):
    def drop(db, most):
        before = db.total_changes
        maintenance.drop(db, source, most)
        return (db.total_changes - before) // 2  # of pieces and of results

    settled(db, state)
    drop(db, ROWS * SIZE)
    tracemalloc.start()
    try:
        assert drop(db, ROWS * SIZE) == 0
        assert drop(db, (ROWS - 1_000) * SIZE - 1) == 1_001
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000, "a list of all rows takes 600 KB"
    kept = db.execute("select min(seq), count(*) from results where output <> 'gone'").fetchone()
    assert tuple(kept) == (1_002, ROWS - 1_001), "the oldest go first"
