"""One command's output on its way into a spool whose disk is full."""

from typing import Any

import pytest

from agent.errors import SpoolFull
from agent.executor import Output
from agent.model import PIECE_BYTES


class FullSpool:
    """Takes so many pieces, then none for a while, then again."""

    def __init__(self, takes, refuses):
        self.answers = [True] * takes + [False] * refuses
        self.pieces = []

    async def append(self, command_id, stream, text):
        if self.answers and not self.answers.pop(0):
            raise SpoolFull("no room")
        self.pieces.append((stream, text))


@pytest.mark.parametrize("takes", [0, 1, 2])
async def test_what_is_kept_is_the_beginning_and_has_no_holes(takes):
    spool: Any = FullSpool(takes, 1)
    output = Output(spool, "c1")
    lines = [f"{n:04}".ljust(1024) + "\n" for n in range(5 * PIECE_BYTES // 1024)]
    for line in lines:
        await output.write("stdout", line)
    await output.write("stderr", "and why\n")
    kept = "".join(text for stream, text in [*spool.pieces, *output.rest()] if stream == "stdout")
    assert "".join(lines).startswith(kept)
    assert len(spool.pieces) == takes
    assert output.rest() == [("stderr", "and why\n")]
    assert output.lost_to_full_disk
