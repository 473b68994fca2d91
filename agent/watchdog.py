"""Signs of life: each root task says now and then that it turns, and somebody can ask who has been silent too long."""

from collections.abc import Callable


class Watchdog:
    """The beats of the root tasks. `now` is a monotonic clock, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._within: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def expect(self, task: str, within_seconds: float) -> None:
        """From now on the task must beat at least this often."""
        self._within[task] = within_seconds
        self.beat(task)

    def beat(self, task: str) -> None:
        """The task turns."""
        self._last[task] = self._now()

    def dismiss(self, task: str) -> None:
        """The task has been ended on purpose."""
        self._within.pop(task, None)

    def silent(self) -> dict[str, float]:
        """The tasks that should have beaten by now, and for how many seconds they haven't."""
        now = self._now()
        return {t: now - self._last[t] for t, within in self._within.items() if now - self._last[t] > within}
