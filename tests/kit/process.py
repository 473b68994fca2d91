"""What Linux knows of a process: memory, processor time, descriptors."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes."""

    resident: int
    peak: int
    """Since the start, or since `reset_peak`."""


class Watched:
    """A running process."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def memory(self) -> Memory:
        """Resident memory, now and at most."""
        fields = dict(line.split(":", 1) for line in (self._folder / "status").read_text().splitlines())
        return Memory(*(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")))

    def reset_peak(self) -> None:
        """Begin to look for the peak anew."""
        (self._folder / "clear_refs").write_text("5")

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far, without its children. Exact to the nanosecond."""
        total = 0
        for task in (self._folder / "task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def children_cpu_seconds(self) -> float:
        """Processor time of its children that have ended, in steps of 10 ms."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list((self._folder / "fd").iterdir()))


def own_children_cpu_seconds() -> float:
    """Processor time of this process's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
