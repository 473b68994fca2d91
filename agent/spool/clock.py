"""Times that survive a stepped clock.

A wall clock may jump, forwards and back; it is for people. Ages come from the time since the machine was started:
that doesn't jump, goes on while the machine or the process sleeps, and is the same for every process of one boot. Only
across a reboot the wall clock has to do, and then an age is at least as long as the machine has been up.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MS = 1000


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment, as it is stored."""

    unix_ms: int
    boot: str
    uptime_ms: int

    @property
    def readable(self) -> str:
        """ISO 8601 in UTC."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.unix_ms // _MS))


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id(path: Path = _BOOT_ID) -> str:
    """Which boot of the machine this is; "" if the kernel doesn't say, and then ages use the wall clock."""
    try:
        return path.read_text().strip()[:8]
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks that the spool looks at. Handed in, so that tests can step them."""

    wall: Callable[[], float] = time.time
    uptime: Callable[[], float] = _uptime
    boot: str = field(default_factory=boot_id)

    def now(self) -> Stamp:
        """The present moment."""
        return Stamp(round(self.wall() * _MS), self.boot, round(self.uptime() * _MS))

    def age_ms(self, stamp: Stamp) -> int:
        """Milliseconds since `stamp`, never below 0."""
        now = self.now()
        if self.boot and stamp.boot == self.boot:
            return max(0, now.uptime_ms - stamp.uptime_ms)
        at_least = now.uptime_ms if self.boot and stamp.boot else 0
        return max(at_least, now.unix_ms - stamp.unix_ms)
