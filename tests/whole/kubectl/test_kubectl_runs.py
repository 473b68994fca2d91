"""What `Kubectl.run` makes of children that behave in every way that children do."""

# small files on a local disk

import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from agent.kubectl import Kubectl
from agent.kubectl import child as child_module
from agent.kubectl.child import PIPE_BYTES, Child
from agent.kubectl.client import STDERR_BYTES
from agent.model import Outcome, Result, Stream
from tests.whole.kubectl.conftest import Kept, ends, open_files, runs, stat

Scripted = Callable[[str], Kubectl]


TIMEOUT, GRACE = 30.0, 0.2
TIME_UP = "kubectl was ended after 30 s, the command's time limit. What it had printed is kept."


async def run(kubectl: Kubectl, sink: Kept, *argv: str, seconds: float = TIMEOUT, cap: int = 1 << 20) -> Result:
    return await kubectl.run(argv, timeout=seconds, max_bytes=cap, sink=sink, grace=GRACE)


@pytest.fixture
def clock() -> MockClock:
    """Stands still until it is set forward: no child is late because the machine is busy."""
    return MockClock()


async def late(kubectl: Kubectl, sink: Kept, clock: MockClock, ready: Callable[[], bool], *then: float) -> Result:
    """What comes of a child whose time is up as soon as `ready` holds; then seconds pass, one wait after the other."""
    ended: list[Result] = []

    async def call() -> None:
        ended.append(await run(kubectl, sink))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        while not ready():
            await trio.to_thread.run_sync(time.sleep, 0.01)
        for seconds in (TIMEOUT, *then):
            clock.jump(seconds)
            await trio.testing.wait_all_tasks_blocked()
    return ended[0]


async def test_what_it_prints_and_its_exit_code(scripted: Scripted, kept: Kept) -> None:
    ended = await run(scripted('echo "out $1 $2"; echo wrong >&2; exit 3'), kept, "get", "pods")
    assert (kept.stdout, kept.stderr) == ("out get pods\n", "wrong\n")
    assert (ended.outcome, ended.exit_code, ended.error) == (Outcome.FAILED, 3, None)
    assert (ended.output_bytes, ended.truncated) == (len("out get pods\n"), False)


async def test_a_child_that_prints_nothing(scripted: Scripted, kept: Kept) -> None:
    ended = await run(scripted("exit 0"), kept)
    assert (ended.outcome, ended.exit_code, ended.output_bytes, kept.pieces) == (Outcome.SUCCEEDED, 0, 0, [])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
async def test_an_end_by_signal_is_reported_as_a_shell_does(
    scripted: Scripted, kept: Kept, number: signal.Signals
) -> None:
    ended = await run(scripted(f"echo before; kill -{int(number)} $$"), kept)
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, 128 + number)
    assert f"was ended by signal {number}" in str(ended.error)
    assert ("want of memory" in str(ended.error)) == (number == signal.SIGKILL)
    assert kept.stdout == "before\n"


async def test_a_signal_without_a_name(scripted: Scripted, kept: Kept) -> None:
    ended = await run(scripted("kill -40 $$"), kept)
    assert (ended.exit_code, "by signal 40" in str(ended.error)) == (168, True)


async def test_output_is_handed_on_while_the_child_runs(scripted: Scripted, tmp_path: Path) -> None:
    """The child goes on only after the sink has had its first line, so it would time out if that were held back."""
    go_on = tmp_path / "go_on"

    async def sink(stream: Stream, text: str) -> None:
        go_on.touch()

    ended = await scripted(f"echo first; while [ ! -e '{go_on}' ]; do /bin/sleep 0.01; done").run(
        [], timeout=20.0, max_bytes=100, sink=sink
    )
    assert ended.success


async def test_at_the_time_limit_what_was_printed_is_kept(
    scripted: Scripted, kept: Kept, tmp_path: Path, clock: MockClock
) -> None:
    pids = tmp_path / "pids"
    kubectl = scripted(f"echo partial; echo also >&2; /bin/sleep 60 & echo $$ $! > '{pids}'; echo set >&2; wait")
    ended = await late(kubectl, kept, clock, lambda: bool(kept.stdout and "set" in kept.stderr))
    assert (ended.outcome, ended.exit_code, ended.error) == (Outcome.TIMED_OUT, 143, TIME_UP)
    assert (kept.stdout, kept.stderr) == ("partial\n", "also\nset\n")
    child, grandchild = map(int, pids.read_text().split())
    assert not runs(child)
    assert ends(grandchild)


async def test_a_child_that_ignores_sigterm_is_killed(scripted: Scripted, kept: Kept, clock: MockClock) -> None:
    kubectl = scripted("trap '' TERM; echo stubborn; while :; do /bin/sleep 60; done")
    ended = await late(kubectl, kept, clock, lambda: bool(kept.stdout), GRACE)
    assert (ended.outcome, ended.exit_code) == (Outcome.TIMED_OUT, 137)
    assert kept.stdout == "stubborn\n"


async def test_what_it_prints_on_sigterm_is_kept(scripted: Scripted, kept: Kept, clock: MockClock) -> None:
    body = "trap 'echo last words; exit 7' TERM; echo ready; while :; do /bin/sleep 0.02; done"
    ended = await late(scripted(body), kept, clock, lambda: bool(kept.stdout))
    assert kept.stdout == "ready\nlast words\n"
    assert (ended.outcome, ended.exit_code) == (Outcome.TIMED_OUT, 7)


async def test_a_stopped_child_is_killed(scripted: Scripted, kept: Kept, clock: MockClock) -> None:
    def stopped() -> bool:
        return bool(kept.stdout) and stat(int(kept.stdout)) == "T"

    ended = await late(scripted("echo $$; kill -STOP $$"), kept, clock, stopped, GRACE)
    assert (ended.outcome, ended.exit_code) == (Outcome.TIMED_OUT, 137)


async def test_a_grandchild_that_keeps_stdout_open_is_ended_too(scripted: Scripted, kept: Kept, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    ended = await run(scripted(f"/bin/sleep 60 & echo $! > '{pid}'; echo done"), kept)
    assert (ended.success, kept.stdout) == (True, "done\n")
    assert ends(int(pid.read_text()))


async def test_a_grandchild_that_left_the_group_cannot_hold_the_result_up(
    scripted: Scripted, kept: Kept, tmp_path: Path
) -> None:
    """It is beyond reach (kubectl starts none such), and goes on printing into the same pipe."""
    pid = tmp_path / "pid"
    body = f"""/usr/bin/setsid /bin/sh -c 'echo $$ > "{pid}"; while :; do echo more; done' & echo mine"""
    ended = await run(scripted(f"{body}; while [ ! -s '{pid}' ]; do :; done"), kept)
    escaped = int(pid.read_text())
    try:
        assert ended.success
        assert "mine\n" in kept.stdout
    finally:
        os.kill(escaped, signal.SIGKILL)


async def test_a_child_that_closes_its_output_and_lives_on(
    scripted: Scripted, kept: Kept, tmp_path: Path, clock: MockClock
) -> None:
    ended = await run(scripted("echo out; exec >&- 2>&-; exec /bin/sleep 0.1"), kept)
    assert (ended.success, kept.stdout) == (True, "out\n")
    closed = tmp_path / "closed"
    kubectl = scripted(f"exec >&- 2>&-; echo > '{closed}'; exec /bin/sleep 60")
    assert (await late(kubectl, kept, clock, closed.exists)).outcome is Outcome.TIMED_OUT


async def test_output_beyond_the_cap_is_counted_and_costs_no_memory(scripted: Scripted, kept: Kept) -> None:
    size = 60 << 20
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak_bytes()
    ended = await run(scripted(f"/usr/bin/head -c {size} /dev/zero | /usr/bin/tr '\\0' x"), kept, cap=1000)
    assert (ended.exit_code, ended.output_bytes, ended.truncated) == (0, size, True)
    assert kept.stdout == "x" * 1000
    assert peak_bytes() - before < 4 << 20


async def test_a_child_that_prints_many_times_the_cap_is_ended(scripted: Scripted, kept: Kept) -> None:
    ended = await run(scripted("echo first; exec /bin/cat /dev/zero"), kept, cap=1000)
    assert (ended.outcome, ended.truncated) == (Outcome.FAILED, True)
    assert re.search(r"it had printed \d\d+ MiB and went on", str(ended.error))
    assert ended.output_bytes > 64 << 20
    assert kept.stdout.startswith("first\n")


def poured(pid: int) -> int:
    """How many bytes a process has written."""
    return int(Path(f"/proc/{pid}/io").read_text().split("wchar: ")[1].split()[0])


def peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


async def test_a_flood_ends_at_the_time_limit_and_lets_others_run(
    scripted: Scripted, kept: Kept, clock: MockClock
) -> None:
    turns = 0
    kubectl = scripted("echo $$; exec /bin/cat /dev/zero")

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1
            if clock.current_time() < TIMEOUT and "\n" in kept.stdout and poured(int(kept.stdout.split()[0])) > 4 << 20:
                clock.jump(TIMEOUT)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        ended = await run(kubectl, kept, cap=10)
        nursery.cancel_scope.cancel()
    assert ended.outcome is Outcome.TIMED_OUT
    assert ended.output_bytes > 1 << 20
    # A turn for each read at least, but for the first one and those that empty the pipe when it has ended.
    assert turns > ended.output_bytes // child_module.PIPE_BYTES - 4


async def test_stderr_has_a_cap_of_its_own(scripted: Scripted, kept: Kept) -> None:
    ended = await run(scripted("/usr/bin/head -c 1000000 /dev/zero >&2; echo fine"), kept)
    assert len(kept.stderr.encode()) <= STDERR_BYTES
    assert (kept.stdout, ended.truncated) == ("fine\n", False)


async def test_pieces_end_at_characters_and_are_small(scripted: Scripted, kept: Kept, tmp_path: Path) -> None:
    text = "aé€😀" * 60_000
    (tmp_path / "text").write_text(text)
    ended = await run(scripted(f"exec /bin/cat '{tmp_path}/text'"), kept)
    assert kept.stdout == text
    assert ended.output_bytes == len(text.encode())
    assert max(len(piece.encode()) for _, piece in kept.pieces) <= 3 * PIPE_BYTES + 4, "one read, and what it became"


async def test_a_character_that_is_never_finished(scripted: Scripted, kept: Kept) -> None:
    await run(scripted(r"printf 'caf\303'"), kept)
    assert kept.stdout == "caf\ufffd"


async def test_binary_garbage(scripted: Scripted, kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 2000)
    ended = await run(scripted(f"exec /bin/cat '{tmp_path}/noise'"), kept, cap=10 << 20)
    assert kept.stdout == (bytes(range(256)) * 2000).decode(errors="replace").replace("\0", "\ufffd")
    assert ended.output_bytes == 256 * 2000
    assert max(len(piece.encode()) for _, piece in kept.pieces) <= 3 * PIPE_BYTES + 4, "one read, and what it became"


async def test_a_sink_that_fails_ends_the_child_and_says_why(scripted: Scripted, tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    async def full(stream: Stream, text: str) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        await scripted(f"echo $$ > '{pid}'; echo out; exec /bin/sleep 60").run(
            [], timeout=30.0, max_bytes=100, sink=full, grace=0.2
        )
    assert not runs(int(pid.read_text()))


async def test_a_slow_sink_slows_the_child_and_loses_nothing(scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("line\n" * 100_000)
    pieces = []

    async def slow(stream: Stream, text: str) -> None:
        await trio.sleep(0.02)
        pieces.append(text)

    ended = await scripted(f"exec /bin/cat '{tmp_path}/text'").run([], timeout=30.0, max_bytes=1 << 20, sink=slow)
    assert "".join(pieces) == "line\n" * 100_000
    assert ended.success


async def test_what_a_pipe_holds_at_the_end_is_read_however_large_it_is(scripted: Scripted) -> None:
    """Where memory pages have 64 KiB it holds 1 MiB; here the child makes it so."""
    large = 'import fcntl; fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20); print("x" * 1_000_000)'
    kubectl, pieces = scripted(f"exec {shlex.quote(sys.executable)} -IS -c '{large}'"), []

    async def sink(stream: Stream, text: str) -> None:
        (child,) = kubectl.children or [None]
        while child and not child.gone:
            await trio.sleep(0.01)
        pieces.append(text)

    ended = await kubectl.run([], timeout=30.0, max_bytes=1 << 20, sink=sink)
    assert (ended.success, ended.output_bytes, len("".join(pieces))) == (True, 1_000_001, 1_000_001)


@pytest.mark.parametrize("moment", ["printing", "in the sink", "with its output closed"])
async def test_cancelled_from_outside(scripted: Scripted, tmp_path: Path, moment: str) -> None:
    """Whatever the child is at: it is gone when the caller is, and what it printed has been handed on."""
    pid, text = tmp_path / "pid", []
    body = {
        "printing": "echo out; while :; do echo more; done",
        "in the sink": "echo out; exec /bin/sleep 60",
        "with its output closed": "echo out; exec >&- 2>&-; exec /bin/sleep 60",
    }[moment]
    reached = trio.Event()

    async def sink(stream: Stream, piece: str) -> None:
        reached.set()
        if moment == "in the sink":
            await trio.sleep(0.05)
        text.append(piece)

    async with trio.open_nursery() as nursery:

        async def call() -> None:
            kubectl = scripted(f"echo $$ > '{pid}'; {body}")
            await kubectl.run([], timeout=30.0, max_bytes=1 << 30, sink=sink, grace=0.3)
            pytest.fail("a cancelled call must not return as if it had ended")

        nursery.start_soon(call)
        await reached.wait()
        nursery.cancel_scope.cancel()
    assert "".join(text).startswith("out\n")
    assert not runs(int(pid.read_text()))


async def test_cancelled_before_it_began(scripted: Scripted, kept: Kept, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    kubectl = scripted(f"trap '' TERM; echo $$ > '{pid}'; while :; do /bin/sleep 1; done")
    with trio.CancelScope() as scope:
        scope.cancel()
        await run(kubectl, kept)
    assert scope.cancelled_caught
    assert not pid.exists() or not runs(int(pid.read_text()))
    assert len(kubectl.children) == 0


async def test_several_at_once(scripted: Scripted, tmp_path: Path) -> None:
    go_on = tmp_path / "go_on"
    kubectl = scripted(f"echo $1; while [ ! -e '{go_on}' ]; do /bin/sleep 0.01; done")
    sinks = [Kept() for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for number, sink in enumerate(sinks):
            nursery.start_soon(run, kubectl, sink, str(number))
        await trio.testing.wait_all_tasks_blocked()
        most = len(kubectl.children)
        go_on.touch()
    assert [sink.stdout for sink in sinks] == ["0\n", "1\n", "2\n", "3\n"]
    assert (most, len(kubectl.children)) == (4, 0)


async def test_a_system_without_pidfd(scripted: Scripted, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert (await run(scripted("exit 4"), kept)).exit_code == 4
    assert (await run(scripted("exec /bin/sleep 60"), kept, seconds=0.1)).exit_code == 143


@pytest.mark.parametrize(
    ("said", "is_memory"),
    [
        ("fatal error: runtime: out of memory", True),
        ("runtime: cannot allocate 4194304-byte block\nfatal error: out of memory allocating heap arena map", True),
        ("Error: pod fatal error: out of memory", False),
        ("fatal error: all goroutines are asleep", False),
    ],
)
async def test_gos_words_for_no_more_memory(scripted: Scripted, kept: Kept, said: str, is_memory: bool) -> None:
    ended = await run(scripted(f"printf '{said}\n' >&2; exit 2"), kept)
    assert (ended.exit_code, "ran out of memory" in str(ended.error)) == (2, is_memory)


@pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")
async def test_one_that_hangs_inside_the_kernel_is_given_up(
    scripted: Scripted, kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: MockClock
) -> None:
    """As with a dead network volume. Nothing here can make a real one: so signals have no effect instead."""
    pid = tmp_path / "pid"
    with monkeypatch.context() as patch:
        patch.setattr(Child, "signal", lambda self, number: None)
        kubectl = scripted(f"echo $$ > '{pid}'; echo set; exec /bin/sleep 60")
        ended = await late(kubectl, kept, clock, lambda: bool(kept.stdout), GRACE, child_module.KILLED_SECONDS)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert ends(int(pid.read_text()))
    assert (ended.outcome, ended.exit_code) == (Outcome.TIMED_OUT, 137)
    await run(scripted("exit 0"), kept)  # the next start reaps it


async def test_many_runs_leave_no_more_open_than_one(scripted: Scripted, kept: Kept) -> None:
    kubectl = scripted("exit 0")
    await run(kubectl, kept)
    before = open_files()
    for _ in range(20):
        await run(kubectl, kept)
    assert open_files() == before
