"""A control group for a measurement, where this user may make one: its share of the processor, or its memory."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import trio

PERIOD_US = 100_000
_ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


@contextmanager
def _group(controller: str) -> Iterator[Path | None]:
    root = Path("/sys/fs/cgroup")
    parent = root / controller if (root / controller).is_dir() else root
    group = parent / f"kubently-bench-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        with suppress(OSError):  # a process that is still ending keeps it
            group.rmdir()


@contextmanager
def cpu_limited(cores: float) -> Iterator[Sequence[str]]:
    """The words to put before a command so that it gets no more than this; none where that isn't possible."""
    with _group("cpu") as group:
        if group is None:
            yield ()
            return
        quota = round(cores * PERIOD_US)
        try:
            if (group / "cpu.max").exists():
                (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
            else:
                (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (group / "cpu.cfs_quota_us").write_text(str(quota))
        except OSError:
            yield ()
            return
        yield ("/bin/sh", "-c", _ENTER, str(group))


class GroupMemory:
    """Memory of everything in a group."""

    def __init__(self, group: Path) -> None:
        self._group = group
        self.peak = 0
        """The most that `most` has seen, in bytes."""
        self.under = ("/bin/sh", "-c", _ENTER, str(group))

    def anonymous(self) -> int:
        """Bytes that can't be given back to the disk: what counts when the kernel looks for whom to kill."""
        fields = dict(line.split() for line in (self._group / "memory.stat").read_text().splitlines())
        return int(fields.get("anon", fields.get("total_rss", 0)))

    async def most(self, look_seconds: float = 0.05) -> None:
        """Look again and again, and remember the most in `peak`."""
        while True:
            self.peak = max(self.peak, self.anonymous())
            await trio.sleep(look_seconds)


@contextmanager
def memory_counted() -> Iterator[GroupMemory | None]:
    """A group whose memory is counted, None where that isn't possible."""
    with _group("memory") as group:
        usable = group is not None and (group / "memory.stat").exists()
        yield GroupMemory(group) if group is not None and usable else None
