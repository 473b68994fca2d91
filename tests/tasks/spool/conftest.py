import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.spool import Spool, open_spool
from tests.tasks.spool.kit import LIMITS, Hands

_MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is possible: what is tested here isn't the disk."""
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="spool-test-", dir=_MEMORY))
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
    async with open_spool(path, LIMITS, clock=hands.clock) as spool:
        yield spool
