"""A kubectl that is a script: real processes, pipes and signals, with the faults that a real one seldom shows."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.kubectl import Environment, Kubectl
from agent.model import Stream


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.pieces: list[tuple[Stream, str]] = []

    async def __call__(self, stream: Stream, text: str) -> None:
        self.pieces.append((stream, text))

    @property
    def stdout(self) -> str:
        return "".join(text for stream, text in self.pieces if stream == "stdout")

    @property
    def stderr(self) -> str:
        return "".join(text for stream, text in self.pieces if stream == "stderr")


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A kubeconfig for a server that isn't there."""
    return write_config(tmp_path / "given", "http://127.0.0.1:1")


def write_config(file: Path, server: str, context: str = "lab") -> Path:
    content = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [],
        "contexts": [{"name": context, "context": {"cluster": "c"}}],
        "current-context": context,
    }
    file.write_text(json.dumps(content))
    return file


def write_script(file: Path, body: str) -> Path:
    """Interpreters and programs in it need absolute paths: PATH is an empty folder for the child."""
    file.write_text("#!/bin/sh\n" + body + "\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[[str], Kubectl]:
    """`scripted("echo hello")` is a Kubectl that runs that."""

    def make(body: str) -> Kubectl:
        program = write_script(tmp_path / "kubectl", body)
        empty = tmp_path / "empty"
        empty.mkdir(exist_ok=True)
        return Kubectl(Environment(program, (), {"PATH": str(empty)}, empty))

    return make


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """After each test: no descriptor open that wasn't before, and no child, not even a dead one."""
    before = open_files()
    yield
    assert open_files() <= before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def stat(pid: int) -> str:
    """A process's state in one letter, as in `ps`; X if it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return "X"


def runs(pid: int) -> bool:
    """Whether a process is there and isn't just waiting to be reaped by somebody."""
    return stat(pid) not in "ZX"


def ends(pid: int) -> bool:
    """Whether a process that was killed goes."""
    for _ in range(500):
        if not runs(pid):
            return True
        time.sleep(0.01)
    return False


@pytest.fixture(scope="session")
def real() -> Path:
    """The real kubectl, as the test requirements bring it."""
    return Path(sys.executable).parent / "kubectl"
