"""Times that survive changes of the system clock.

Stored are wall-clock times in milliseconds since 1970, because people read them. When the machine's clock is set, they
are moved with it: the time since boot shows that, which doesn't jump and goes on while the machine sleeps.
"""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_SET_MS = 5000  # a smaller difference is drift, which the system corrects a little at a time
_TIMES = {
    "commands": ("accepted_unix_ms", "started_unix_ms"),
    "results": ("finished_unix_ms", "settled_unix_ms", "next_attempt_unix_ms"),
}


def readable(unix_ms: int) -> str:
    """ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_ms // 1000))


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Which boot of the machine this is; "" if the kernel doesn't say."""
    try:
        return path.read_text().strip()[:8]
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks that the spool looks at, in seconds. Handed in, so that tests can step them."""

    wall: Callable[[], float] = time.time
    uptime: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    boot: str = field(default_factory=boot_id)

    def unix_ms(self) -> int:
        """The present moment."""
        return round(self.wall() * 1000)


def follow(db: sqlite3.Connection, clock: Clock) -> None:
    """Move the stored times if the clock was set since the last look. In a transaction."""
    offset = clock.unix_ms() - round(clock.uptime() * 1000)  # the wall clock's time of the machine's start
    row = db.execute("select value from meta where key = 'clock'").fetchone()
    boot, _, before = (row[0] if row else "").partition(" ")
    if row and boot == clock.boot and abs(offset - int(before)) < _SET_MS:
        return
    if row and clock.boot and boot:  # after a reboot nobody can tell, but all that is stored is older than the start
        change = f"+ {offset - int(before)}" if boot == clock.boot else None
        for table, columns in _TIMES.items():
            moved = (f"{c} = {c} {change}" if change else f"{c} = min({c}, {offset})" for c in columns)
            db.execute(f"update {table} set {', '.join(moved)}")  # noqa: S608  # this file's own names
    db.execute("insert or replace into meta (key, value) values ('clock', ?)", (f"{clock.boot} {offset}",))
