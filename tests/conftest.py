"""What holds in every test: a virtual clock doesn't jump while a thread is at work, however busy the machine is."""

from collections.abc import Generator

import pytest
import trio
from trio.testing import MockClock

_jump = MockClock._autojump


def _jump_when_no_thread_works(clock: MockClock) -> None:
    if trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0:
        _jump(clock)


MockClock._autojump = _jump_when_no_thread_works  # type: ignore[method-assign,assignment]  # trio has no hook


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Two more than cores: many tests wait for a process or a pause."""
    return (yield) + 2
