"""The maintenance says once when the spool becomes full, and once when it no longer is."""

import json

import pytest
import trio

from agent import log
from agent.maintenance import EVERY_SECONDS, Maintenance
from agent.spool import Counts, Swept
from agent.watchdog import Watchdog


class Spool:
    """Full or not, turn by turn."""

    room = 1

    def __init__(self, *free_bytes: int) -> None:
        self.free_bytes = list(free_bytes)

    async def sweep(self) -> Swept:
        return Swept()

    async def counts(self) -> Counts:
        free = self.free_bytes.pop(0) if len(self.free_bytes) > 1 else self.free_bytes[0]
        figures = dict.fromkeys(Counts.__dataclass_fields__, 0)
        return Counts(**{**figures, "free_bytes": free, "output_bytes": 100, "pending": 7})


async def test_full_and_room_again_are_told_once_each(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("INFO", "json")
    maintenance = Maintenance(Spool(500, 99, 0, 100, 500), lambda: None, watchdog=Watchdog(trio.current_time))  # type: ignore[arg-type]
    with trio.move_on_after(EVERY_SECONDS * 8):
        await maintenance.run()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("WARNING", "spool full, no commands are taken"),
        ("INFO", "spool has room again, commands are taken"),
    ]
    assert lines[0]["results_waiting"] == 7
