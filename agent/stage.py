"""Tasks that are stopped together, before those that they hand over to."""

from collections.abc import Awaitable, Callable

import trio

LAST_WRITES_SECONDS = 3.0
"""How long a stopping task may go on writing down what it has. kubectl's own end, 2 s after SIGTERM, is part of it."""


class Stage:
    """Tasks that are started together and stopped together, before those that they hand over to."""

    def __init__(self, *tasks: tuple[str, Callable[[], Awaitable[None]]]) -> None:
        self._tasks = tasks
        self._scope = trio.CancelScope()
        self.ended = trio.Event()

    async def run(self, failed: Callable[[], None] = lambda: None) -> None:
        """Run the tasks until all have ended, or until `stop`.

        `failed` is called as soon as one fails: this ends only when its siblings have written down what they have.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for name, task in self._tasks:
                        nursery.start_soon(_watched, task, failed, name=name)
        finally:
            self.ended.set()

    async def stop(self, within: float = 0, abandon: Callable[[], None] = lambda: None) -> None:
        """Give the tasks so many seconds to end by themselves, then cancel them, and wait until they have ended.

        Args:
            within: seconds; none if it is below 0, because what came before took longer.
            abandon: makes the tasks give up even what they must not lose. Called when they are still writing it down
                after a while, as on a full disk: a process that never ends is killed, and can't even say what is left.
        """
        with trio.move_on_after(max(within, 0)):
            await self.ended.wait()
        self._scope.cancel()
        with trio.move_on_after(LAST_WRITES_SECONDS):
            await self.ended.wait()
        abandon()
        await self.ended.wait()


async def _watched(task: Callable[[], Awaitable[None]], failed: Callable[[], None]) -> None:
    try:
        await task()
    except Exception:
        failed()
        raise
