"""How much memory one kubectl may have, so that a large answer ends that command and not the whole pod.

kubectl holds a list several times over: it takes 47 MB for a small one, 93 for 1.3 MB of JSON, 198 for 4 MB, 380 for
11 MB (measured with 1.37). Since Kubernetes 1.28 the kernel ends a container as a whole when it runs out of memory
(`memory.oom.group`, kubernetes/kubernetes#117793), so a single kubectl must not be able to take all of it: whatever its
score, the agent would die too. Nor must several together: then the largest is ended, before the kernel looks for one.
"""

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

MIB = 1 << 20

MOST_BYTES = 2048 * MIB
"""Of address space, most of which kubectl never touches: 1.37 doesn't start below 1 GiB."""

LEAST_BYTES = 128 * MIB
"""Of data. kubectl starts with 96 MiB and not with 64, as Go reserves its heap in pieces of 64 MiB (measured)."""

AGENT_BYTES = 64 * MIB
"""What the agent itself may need of its container's memory."""

LOOK_SECONDS = 0.1
"""How often running kubectls are weighed. At the manifest's 0.2 of a core one grows by 2 MB in that time."""

CONTAINER_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container finds its own limit: cgroup v2, v1."""

_HEAD_CHARS = 2000
_FATAL = re.compile(r"^fatal error: .*(out of memory|cannot allocate memory)", re.MULTILINE)


def data_limit(files: Iterable[Path] = CONTAINER_FILES) -> int:
    """Bytes of data that one kubectl may have: what the container's limit leaves beside the agent."""
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            return min(max(int(text) - AGENT_BYTES, LEAST_BYTES), MOST_BYTES)
    return MOST_BYTES


def largest_of_too_many(pids: Collection[int], most_bytes: int) -> int | None:
    """The process to end, if these hold more than that together. One alone has its own limit."""
    held = {pid: _held_bytes(pid) for pid in pids}
    if len(held) < 2 or sum(held.values()) <= most_bytes:
        return None
    return max(held, key=lambda pid: held[pid])


def _held_bytes(pid: int) -> int:
    """What can't be given back to a file, as its program could. 0 for a process that is gone."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


class Complaint:
    """The beginning of what kubectl says on stderr, in which Go tells that it got no more memory."""

    def __init__(self) -> None:
        self._said = ""

    def add(self, text: str) -> None:
        """Take note of some of it."""
        if len(self._said) < _HEAD_CHARS:
            self._said += text[:_HEAD_CHARS]

    @property
    def out_of_memory(self) -> bool:
        """Whether that is what ended it."""
        return _FATAL.search(self._said) is not None
