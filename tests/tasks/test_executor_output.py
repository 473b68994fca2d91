"""One command's output on its way into a spool whose disk is full."""

from typing import Any

import pytest

from agent.executor import OutputPieces
from agent.model import PIECE_CHARS


class FullSpool:
    """Takes so many pieces, then none."""

    def __init__(self, takes):
        self.takes = takes
        self.pieces = []

    async def append(self, command_id, stream, text):
        if len(self.pieces) == self.takes:
            return False
        self.pieces.append((stream, text))
        return True


@pytest.mark.parametrize("takes", [0, 1, 2])
async def test_what_is_kept_is_the_beginning_and_has_no_holes(takes):
    spool: Any = FullSpool(takes)
    output = OutputPieces(spool, "c1")
    lines = [f"{n:04}".ljust(1024) + "\n" for n in range(5 * PIECE_CHARS // 1024)]
    for line in lines:
        await output.write("stdout", line)
    rest = await output.end(cut=False)
    kept = "".join(text for stream, text in [*spool.pieces, *rest] if stream == "stdout")
    assert "".join(lines).startswith(kept)
    assert len(spool.pieces) == takes
    assert rest == []
