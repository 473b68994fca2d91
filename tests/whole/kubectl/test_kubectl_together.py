"""Several kubectls in one container's memory."""

import dataclasses
import os
import shlex
import sys
from collections.abc import Callable

import trio

from agent.executor import CROWDED, _from_exit
from agent.kubectl import Exit, Kubectl
from agent.kubectl.memory import MIB, largest_of_too_many
from agent.model import Outcome
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
    assert (large.crowded, large.timed_out) == (True, False)
    assert [(one.crowded, one.timed_out) for one in (small, other)] == [(False, True)] * 2
    result = _from_exit(large, 3)
    assert (result.outcome, result.error) == (Outcome.FAILED, CROWDED)


async def test_one_alone_is_only_held_to_its_own_limit(scripted: Callable[[str], Kubectl]) -> None:
    kubectl = scripted(HOLDING)
    kubectl.environment = dataclasses.replace(kubectl.environment, data_bytes=40 * MIB)
    (alone,) = await together(kubectl, 30 * MIB, seconds=1)
    assert (alone.crowded, alone.timed_out) == (False, True)


def test_those_that_are_gone_weigh_nothing() -> None:
    own, gone = os.getpid(), 2**22 + 1  # beyond any process number
    assert largest_of_too_many([own, gone], 1) == own
    assert largest_of_too_many([own, gone], 1 << 40) is None
    assert largest_of_too_many([own], 1) is None
