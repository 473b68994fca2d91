"""The ballast on a disk that does more than be full."""

from pathlib import Path

import pytest

from agent.spool import Limits
from agent.spool.space import Space


def test_on_a_disk_that_became_read_only_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space(tmp_path / "spool.db", Limits(8 << 20))
    assert space.load_ballast()

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("agent.spool.space.disk_free", lambda _: 0)
    monkeypatch.setattr(Path, "unlink", read_only)
    assert not space.drop_ballast()
    assert space.has_ballast
