"""What holds in every test: a virtual clock doesn't jump while a thread is at work, however busy the machine is."""

import os

import trio
from trio.testing import MockClock

_jump = MockClock._autojump


def _jump_when_no_thread_works(clock: MockClock) -> None:
    if trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0:
        _jump(clock)


MockClock._autojump = _jump_when_no_thread_works  # type: ignore[method-assign,assignment]


def pytest_xdist_auto_num_workers() -> int:
    """Two more than cores: many tests wait for a process or a pause."""
    return (os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count() or 1) + 2
