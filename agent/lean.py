"""Imports without what the agent never calls.

Two of the libraries import, for parts that the agent doesn't use, what would stay in its memory for months:
httpx and httpcore a command line, another event loop's sockets and HTTP/2; sqlite-utils progress bars and dates.
The figures are in `make import-cost`. A module that is imported already stays as it is.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Inside, these modules can't be imported: for libraries that go on without an optional one."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None means: not to be had
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def hollow(**attributes: tuple[str, ...]) -> Iterator[None]:
    """Inside, importing these modules gives empty ones: for libraries that insist on a module and call it in parts that
    aren't used. `attributes` are what is imported from them; all are None, so that calling one fails loudly.
    """
    absent = [name for name in attributes if name not in sys.modules]
    for name in absent:
        module = ModuleType(name)
        for attribute in attributes[name]:
            setattr(module, attribute, None)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
