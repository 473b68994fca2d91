"""Children that can't be started: one sentence each, and nothing left open."""

# small files on a local disk

import errno
import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from agent.errors import KubectlError
from agent.kubectl import Kubectl
from tests.whole.kubectl.conftest import Kept, write_script

Scripted = Callable[[str], Kubectl]


async def refusal(kubectl: Kubectl, sink: Kept, *argv: str) -> str:
    with pytest.raises(KubectlError) as caught:
        await kubectl.run(argv, timeout=10.0, max_bytes=100, sink=sink)
    assert kubectl.trouble == str(caught.value)
    assert (len(kubectl.children), sink.pieces) == (0, [])
    return str(caught.value)


async def test_it_has_gone(scripted: Scripted, kept: Kept) -> None:
    kubectl = scripted("exit 0")
    kubectl.path.unlink()
    assert await refusal(kubectl, kept) == (
        f"{kubectl.path} can't be started: it isn't there any more, or the interpreter that its first line names isn't."
    )


async def test_it_is_there_again(scripted: Scripted, kept: Kept) -> None:
    kubectl = scripted("exit 0")
    kubectl.path.unlink()
    await refusal(kubectl, kept)
    write_script(kubectl.path, "exit 0")
    assert (await kubectl.run([], timeout=10.0, max_bytes=100, sink=kept)).success
    assert kubectl.trouble is None


async def test_its_interpreter_is_missing(scripted: Scripted, kept: Kept) -> None:
    kubectl = scripted("exit 0")
    kubectl.path.write_text("#!/nowhere/sh\n")
    assert "interpreter" in await refusal(kubectl, kept)


async def test_it_is_not_executable(scripted: Scripted, kept: Kept) -> None:
    kubectl = scripted("exit 0")
    kubectl.path.chmod(0o644)
    assert "may not be executed" in await refusal(kubectl, kept)


@pytest.mark.parametrize("content", [b"", b"not a program\n", b"\x7fELF\x02\x01\x01" + bytes(60)])
async def test_it_is_not_a_program_for_this_machine(scripted: Scripted, kept: Kept, content: bytes) -> None:
    kubectl = scripted("exit 0")
    kubectl.path.write_bytes(content)
    assert "isn't a program for this machine" in await refusal(kubectl, kept)


async def test_its_folder_has_gone(scripted: Scripted, kept: Kept) -> None:
    kubectl = scripted("exit 0")
    kubectl.environment.folder.rmdir()
    said = await refusal(kubectl, kept)
    assert f"{kubectl.environment.folder}, its working folder, is gone; restart the agent" in said


@pytest.fixture
def few_files() -> Iterator[Callable[[int], None]]:
    """`few_files(2)`: from now on two more can be opened and no third."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers: list[int] = []

    def leave(free: int) -> None:
        first = os.open("/dev/null", os.O_RDONLY)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first + 60, hard))
        fillers.append(first)
        try:
            while True:
                fillers.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            for _ in range(free):
                os.close(fillers.pop())

    yield leave
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for filler in fillers:
        os.close(filler)


# 3.11.2, Debian 12's, leaves descriptors open; 3.11.7 and the image's 3.13 don't.
@pytest.mark.skipif(
    not hasattr(subprocess.Popen, "_on_error_fd_closer"), reason="this Python's subprocess leaks itself"
)
@pytest.mark.parametrize("free", range(7))
async def test_too_many_files_are_open(
    scripted: Scripted, kept: Kept, few_files: Callable[[int], None], free: int
) -> None:
    """stdin, two pipes, and one more pipe for the error itself: it can fail at each of them."""
    kubectl = scripted("exit 0")
    few_files(free)
    assert "Too many open files" in await refusal(kubectl, kept)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EAGAIN, "pids limit"),
        (errno.EIO, "Input/output error"),
    ],
)
async def test_the_system_refuses(
    scripted: Scripted, kept: Kept, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*args: object, **options: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    kubectl = scripted("exit 0")
    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert words in await refusal(kubectl, kept)


@pytest.mark.parametrize("argument", ["a\0b", "\ud800", "x" * 200_000])
async def test_arguments_that_cannot_be_passed_on(scripted: Scripted, kept: Kept, argument: str) -> None:
    """The guard refuses them before; if it didn't, that would still be no more than an error."""
    assert re.search("arguments|Argument list", await refusal(scripted("exit 0"), kept, "get", argument))


async def test_version_of_the_real_one(real: Path, config: Path, tmp_path: Path) -> None:
    kubectl = await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")
    version = await kubectl.version()
    assert version.startswith("v1.")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo no such flag >&2; exit 1", "ended with code 1: no such flag"),
        ("echo hello", "doesn't tell gitVersion"),
        ("echo '{}'", "doesn't tell gitVersion"),
        ("echo '[1]'", "doesn't tell gitVersion"),
        ("""echo '{"clientVersion": {"gitVersion": 7}}'""", "doesn't tell gitVersion"),
        ("kill -9 $$", "ended with code 137"),
    ],
)
async def test_version_of_one_that_is_no_good(scripted: Scripted, body: str, words: str) -> None:
    kubectl = scripted(body)
    with pytest.raises(KubectlError, match=words) as caught:
        await kubectl.version()
    assert str(kubectl.path) in str(caught.value)


async def test_version_of_one_that_hangs(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.kubectl.client.ASK_SECONDS", 0.1)
    with pytest.raises(KubectlError, match="didn't end in time"):
        await scripted("exec /bin/sleep 60").version()
