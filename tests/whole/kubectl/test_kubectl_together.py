"""Several kubectls in one container's memory."""

import dataclasses
import shlex
import sys
from collections.abc import Callable

import trio

from agent.kubectl import Kubectl
from agent.kubectl.client import CROWDED
from agent.kubectl.environment import MIB
from agent.model import Outcome, Result
from tests.whole.kubectl.conftest import Kept

HOLDING = f"""\
exec {shlex.quote(sys.executable)} -IS -c 'import sys, time; held = b"x" * int(sys.argv[1]); time.sleep(60)' "$1"
"""
"""Holds as many bytes as it is told to, for a minute."""


async def together(kubectl: Kubectl, *sizes: int, seconds: float) -> list[Result]:
    """How each ended, when they ran at the same time."""
    ended: dict[int, Result] = {}

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
    assert (small.outcome, other.outcome) == (Outcome.TIMED_OUT, Outcome.TIMED_OUT)
    assert (large.outcome, large.error) == (Outcome.FAILED, CROWDED)


async def test_one_alone_is_only_held_to_its_own_limit(scripted: Callable[[str], Kubectl]) -> None:
    kubectl = scripted(HOLDING)
    kubectl.environment = dataclasses.replace(kubectl.environment, data_bytes=40 * MIB)
    (alone,) = await together(kubectl, 30 * MIB, seconds=1)
    assert alone.outcome is Outcome.TIMED_OUT
