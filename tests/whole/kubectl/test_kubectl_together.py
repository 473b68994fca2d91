"""Several kubectls in one container's memory."""

import dataclasses
import shlex
import sys
from collections.abc import Callable

import trio

from agent.kubectl import Exit, Kubectl
from agent.kubectl.environment import MIB
from tests.whole.kubectl.conftest import Kept

HOLDING = f"""\
exec {shlex.quote(sys.executable)} -IS -c 'import sys, time; held = b"x" * int(sys.argv[1]); time.sleep(60)' "$1"
"""
"""Holds as many bytes as it is told to, for a minute."""


async def together(kubectl: Kubectl, *sizes: int, seconds: float) -> list[Exit]:
    """How each ended, when they ran at the same time."""
    ended: dict[int, Exit] = {}

    async def one(number: int, size: int) -> None:
        ended[number] = await kubectl.run((str(size),), timeout=seconds, max_bytes=1, sink=Kept())

    async with trio.open_nursery() as nursery:
        for number, size in enumerate(sizes):
            nursery.start_soon(one, number, size)
    return [ended[number] for number in range(len(sizes))]


async def test_the_largest_is_ended_before_the_container_is(scripted: Callable[[str], Kubectl]) -> None:
    kubectl = scripted(HOLDING)
    kubectl.environment = dataclasses.replace(kubectl.environment, data_bytes=100 * MIB)
    small, large, other = await together(kubectl, 20 * MIB, 70 * MIB, 30 * MIB, seconds=3)
    assert (small.why, large.why, other.why) == ("time limit", "crowd", "time limit")


async def test_one_alone_is_only_held_to_its_own_limit(scripted: Callable[[str], Kubectl]) -> None:
    kubectl = scripted(HOLDING)
    kubectl.environment = dataclasses.replace(kubectl.environment, data_bytes=40 * MIB)
    (alone,) = await together(kubectl, 30 * MIB, seconds=1)
    assert alone.why == "time limit"
