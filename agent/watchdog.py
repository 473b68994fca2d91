"""Signs of life: each root task says now and then that it turns, and somebody can ask who has been silent too long."""

from collections.abc import Callable


class Watchdog:
    """The beats of the root tasks. `now` is a monotonic clock, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._beats: dict[str, tuple[float, float]] = {}

    def beat(self, task: str, within_seconds: float) -> None:
        """The task turns, and is to beat again within so many seconds."""
        self._beats[task] = self._now(), within_seconds

    def dismiss(self, task: str) -> None:
        """The task waits on purpose, or has ended."""
        self._beats.pop(task, None)

    def silent(self) -> dict[str, float]:
        """The tasks that should have beaten by now, and for how many seconds they haven't."""
        now = self._now()
        return {task: now - at for task, (at, within) in self._beats.items() if now - at > within}
