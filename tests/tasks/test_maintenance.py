"""The maintenance says once when the spool becomes full, and once when it no longer is."""

from typing import Any

import trio

from agent.maintenance import EVERY_SECONDS, Maintenance
from agent.spool import Counts
from agent.watchdog import Watchdog
from tests.tasks.fakes import Events


class Spool:
    """Full or not, turn by turn."""

    full = False

    def __init__(self, *free_bytes: int) -> None:
        self.free_bytes = list(free_bytes)

    async def sweep(self) -> None:
        pass

    async def counts(self) -> Counts:
        free = self.free_bytes.pop(0) if len(self.free_bytes) > 1 else self.free_bytes[0]
        figures: dict[str, Any] = dict.fromkeys(Counts.__dataclass_fields__, 0)
        because = None if free >= 100 else "a reason"
        return Counts(**{**figures, "free_bytes": free, "full_because": because, "pending": 7})


async def test_full_and_room_again_are_told_once_each(autojump_clock: trio.testing.MockClock, events: Events) -> None:
    maintenance = Maintenance(Spool(500, 99, 0, 100, 500), lambda: None, watchdog=Watchdog(trio.current_time))  # type: ignore[arg-type]
    with trio.move_on_after(EVERY_SECONDS * 8):
        await maintenance.run()
    (line,) = events["spool full, no commands are taken"]
    assert (line["because"], line["results_waiting"]) == ("a reason", 7)
    assert len(events["spool has room again, commands are taken"]) == 1
