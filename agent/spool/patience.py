"""Writing what must not be lost to a spool that has no room for it yet."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from agent.errors import SpoolFull
from agent.log import Log

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""How often it is tried again while the disk refuses it."""


async def until_written(write: Callable[[], Awaitable[T]], log: Log, says: str, **fields: object) -> T:
    """Repeat a write until the spool takes it. The first refusal is logged with these words and fields."""
    told = False
    while True:
        try:
            return await write()
        except SpoolFull as error:
            if not told:
                log.error(says, reason=str(error), **fields)
            told = True
        await trio.sleep(RETRY_SECONDS)
