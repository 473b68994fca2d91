"""Signs of life: each root task reports now and then, and `/livez` asks which ones have been silent for too long."""

from collections.abc import Callable


class Watchdog:
    """The beats of the root tasks. `now` is a monotonic clock, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._beats: dict[str, tuple[float, float]] = {}

    def beat(self, task: str, within_seconds: float) -> None:
        """The task is alive, and will beat again within so many seconds."""
        self._beats[task] = self._now(), within_seconds

    def dismiss(self, task: str) -> None:
        """The task waits on purpose, or has ended."""
        self._beats.pop(task, None)

    def silent(self) -> dict[str, float]:
        """The overdue tasks, and for how many seconds each has been silent."""
        now = self._now()
        return {task: now - at for task, (at, within) in self._beats.items() if now - at > within}
