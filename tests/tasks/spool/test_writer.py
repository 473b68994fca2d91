"""The thread behind the spool: what waits together is committed together, and each gets its own answer."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio
import trio.testing

from agent.errors import SpoolError, SpoolFull
from agent.spool import Limits
from agent.spool.space import MB, Plan, Space
from agent.spool.writer import GROWING_AT_ONCE, Need, Writer


class Bench:
    """A writer on an empty table, whose thread can be held."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.statements: list[str] = []
        self.changes = 0
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("pragma journal_mode = wal").fetchall()
        db.execute("create table t (x integer primary key, y text)")
        db.execute(f"pragma max_page_count = {plan.hard_pages}")
        db.set_trace_callback(self.statements.append)
        self.space = Space(path, Limits(32 * MB))
        self.space.plan = plan
        self.writer = Writer(db, self.space, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    async def insert(self, x: int, y: str = "", need: Need = Need.STATE) -> int:
        def work(db: sqlite3.Connection) -> int:
            db.execute("insert into t values (?, ?)", (x, y))
            return x

        return await self.writer.run(need, work)

    def rows(self) -> list[int]:
        with closing(sqlite3.connect(self.path)) as db:
            return [x for (x,) in db.execute("select x from t order by x")]

    def commits(self) -> int:
        return sum(statement.lower() == "commit" for statement in self.statements)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[trio.Nursery]:
        """What is started inside waits for the thread together."""
        go = threading.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: self.writer.run(Need.OUTSIDE, lambda _: go.wait(10)))
            await trio.testing.wait_all_tasks_blocked()
            try:
                yield nursery
                await trio.testing.wait_all_tasks_blocked()
            finally:
                go.set()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "w.db", Plan(32 * MB, MB))
    yield bench
    await bench.writer.close()


async def test_what_waits_together_is_one_commit(bench: Bench) -> None:
    async with bench.held() as nursery:
        for n in range(20):
            nursery.start_soon(bench.insert, n)
    assert bench.rows() == list(range(20))
    assert bench.commits() == 1


async def test_one_commit_takes_a_few_pieces_of_output(bench: Bench) -> None:
    """However many wait: it has to fit into the write-ahead log's share."""
    async with bench.held() as nursery:
        for n in range(2 * GROWING_AT_ONCE + 1):
            nursery.start_soon(bench.insert, n, "", Need.GROW)
    assert len(bench.rows()) == 2 * GROWING_AT_ONCE + 1
    assert bench.commits() == 3


async def test_one_that_fails_doesnt_undo_the_others(bench: Bench) -> None:
    await bench.insert(3)
    failed: list[int] = []

    async def try_insert(n: int) -> None:
        try:
            await bench.insert(n)
        except SpoolError:
            failed.append(n)

    async with bench.held() as nursery:
        for n in range(6):
            nursery.start_soon(try_insert, n)
    assert failed == [3]
    assert bench.rows() == list(range(6))


async def test_an_error_of_the_work_itself_is_the_callers(bench: Bench) -> None:
    def work(db: sqlite3.Connection) -> None:
        db.execute("insert into t values (1, '')")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await bench.writer.run(Need.STATE, work)
    assert bench.rows() == []


async def test_a_commit_waits_for_the_disk_only_if_somebody_waits_for_it(bench: Bench) -> None:
    def insert(x: int) -> Callable[[sqlite3.Connection], object]:
        return lambda db: db.execute("insert into t values (?, '')", (x,))

    async with bench.held():
        bench.writer.hand_in(Need.STATE, insert(1))
        bench.writer.hand_in(Need.STATE, insert(2))
    await bench.writer.run(Need.OUTSIDE, lambda _: None)
    assert [s for s in bench.statements if "synchronous" in s] == ["pragma synchronous = normal"]
    await bench.insert(3)
    assert [s for s in bench.statements if "synchronous" in s][-1] == "pragma synchronous = full"
    assert bench.rows() == [1, 2, 3]


async def test_what_is_handed_in_and_fails_is_told(bench: Bench) -> None:
    await bench.insert(1)
    job = bench.writer.hand_in(Need.STATE, lambda db: db.execute("insert into t values (1, '')"))
    await job.done.wait()
    assert job.error is not None
    assert "UNIQUE" in str(bench.writer.failure)


async def test_what_must_be_alone_is(bench: Bench) -> None:
    seen: list[bool] = []

    async def alone() -> None:
        await bench.writer.run(Need.OUTSIDE, lambda db: seen.append(db.in_transaction))

    async with bench.held() as nursery:
        for n in range(3):
            nursery.start_soon(bench.insert, n)
            nursery.start_soon(alone)
    assert seen == [False] * 3
    assert bench.rows() == [0, 1, 2]


async def test_an_abandoned_look_holds_up_nobody(bench: Bench) -> None:
    with trio.CancelScope() as scope:
        async with bench.held() as nursery:
            nursery.start_soon(lambda: bench.writer.run(Need.OUTSIDE, lambda _: 1))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert await bench.writer.run(Need.OUTSIDE, lambda _: 2) == 2


async def test_notes_wait_for_company_and_not_for_long(bench: Bench) -> None:
    def insert(x: int) -> Callable[[sqlite3.Connection], object]:
        return lambda db: db.execute("insert into t values (?, '')", (x,))

    bench.writer.hand_in(Need.STATE, insert(1))
    await trio.sleep(0.001)
    bench.writer.hand_in(Need.STATE, insert(2))
    await bench.insert(3)
    assert bench.commits() == 1
    with trio.fail_after(10):
        await bench.writer.hand_in(Need.STATE, insert(4)).done.wait()
    assert bench.rows() == [1, 2, 3, 4]


async def test_close_carries_out_what_waits(bench: Bench) -> None:
    async with bench.held() as nursery:
        for n in range(5):
            nursery.start_soon(bench.insert, n)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(bench.writer.close)
    assert bench.rows() == list(range(5))
    with pytest.raises(SpoolError, match="closed"):
        await bench.insert(9)
    bench.writer.hand_in(Need.STATE, lambda db: db.execute("insert into t values (9, '')"))
    assert 9 not in bench.rows()


async def test_growth_stops_below_what_a_change_of_state_may_use(tmp_path: Path) -> None:
    plan = Plan(2 * MB, MB)
    plan.soft_bytes, plan.hard_pages = 50 * 4096, 80
    bench = Bench(tmp_path / "w.db", plan)
    try:
        with pytest.raises(SpoolFull, match="no room left"):  # noqa: PT012
            for n in range(100):
                await bench.insert(n, "x" * 4000, Need.GROW)
        assert bench.space.file_bytes <= 50 * 4096
        for n in range(100, 120):
            await bench.insert(n, "x" * 4000)
        with pytest.raises(SpoolFull):
            await bench.insert(200, "x" * 200_000)
        assert bench.space.file_bytes <= 80 * 4096
    finally:
        await bench.writer.close()


async def test_a_disk_that_others_have_filled_shows_in_the_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(db: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    await bench.insert(1)
    assert bench.space.free_bytes > 0
    monkeypatch.setattr("agent.spool.space.disk_free", lambda _: 0)
    with pytest.raises(SpoolFull):
        await bench.writer.run(Need.GROW, fail)
    assert bench.space.free_bytes == 0


async def test_a_lock_that_somebody_keeps_is_full_for_now(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "w.db", Plan(32 * MB, MB))
    await bench.writer.run(Need.OUTSIDE, lambda db: db.execute("pragma busy_timeout = 10"))
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(SpoolFull, match="another program keeps it locked"):
            await bench.insert(1)
        assert await bench.writer.run(Need.OUTSIDE, lambda db: db.execute("select 1").fetchone()) == (1,)
    await bench.insert(1)
    await bench.writer.close()


def test_a_thread_whose_loop_is_gone_ends_quietly(tmp_path: Path) -> None:
    benches: list[Bench] = []
    go = threading.Event()

    async def main() -> None:
        bench = Bench(tmp_path / "w.db", Plan(32 * MB, MB))
        benches.append(bench)
        with trio.move_on_after(0.05):
            await bench.writer.run(Need.OUTSIDE, lambda _: go.wait(10))

    trio.run(main)
    go.set()
    (bench,) = benches
    thread = bench.writer._thread
    assert thread is not None
    bench.writer._waiting.put(None)
    thread.join(10)
    assert not thread.is_alive()
