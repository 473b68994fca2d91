import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.spool import Spool, open_spool
from tests.tasks.spool.kit import LIMITS, Hands, make_folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = make_folder(tmp_path)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "spool.db"


@pytest.fixture
async def spool(path: Path, hands: Hands) -> AsyncIterator[Spool]:
    async with open_spool(path, LIMITS, clock=hands.clock, inline=True) as spool:
        yield spool
