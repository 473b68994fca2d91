"""Whoever reads what a command prints, and however it is stopped: sentences, never a traceback."""

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
import trio

from tests.kit.agent import AGENT
from tests.whole.cli import stand_in
from tests.whole.cli.spools import REJECTED, fill

COMMANDS = [
    "--help",
    "status",
    "check",
    "spool list",
    f"spool show --json {REJECTED}",
    "spool export -",
    "guard -- get pods",
    "redact <<< 'password: x9q2'",
]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("spüle")
    trio.run(fill, folder / "spool.db")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KUBENTLY_"))},
        "KUBENTLY_SPOOL_PATH": str(folder / "spool.db"),
    }


def typed(line: str, environ: dict[str, str], **more: str) -> subprocess.CompletedProcess[bytes]:
    """A line in a shell, in which `kubently-agent` is this checkout's."""
    script = f'kubently-agent() {{ {shlex.join(AGENT)} "$@"; }}; {line}'
    return subprocess.run(["/bin/bash", "-c", script], env={**environ, **more}, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("command", "unbuffered"), [*((command, "") for command in COMMANDS), ("status", "1"), ("spool export -", "1")]
)
def test_an_output_that_takes_nothing(command: str, unbuffered: str, environ: dict[str, str]) -> None:
    done = typed(f"kubently-agent {command} > /dev/full", environ, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr.decode() == "kubently-agent: Standard output can't be written: No space left on device.\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_is_closed(command: str, environ: dict[str, str]) -> None:
    done = typed(f"kubently-agent {command} >&-", environ)
    assert done.returncode == 1
    assert done.stderr.decode() == "kubently-agent: Standard output can't be written: Bad file descriptor.\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_had_enough(command: str, environ: dict[str, str]) -> None:
    done = typed(f"kubently-agent {command} | true", environ)
    assert done.stderr == b""


@pytest.mark.parametrize("encoding", ["ascii", "koi8-r"])
def test_any_encoding(encoding: str, environ: dict[str, str]) -> None:
    done = typed(
        "kubently-agent check; kubently-agent status; kubently-agent spool list", environ, PYTHONIOENCODING=encoding
    )
    assert done.stderr == b""
    printed = done.stdout.decode(encoding)
    assert "settings          KUBENTLY_API_URL is not set." in printed
    assert {"ascii": r"  \xd7 settings", "koi8-r": r"  \xd7 settings"}.get(encoding, "  × settings") in printed
    assert "describe pod web-0" in printed


def test_nothing_is_open(environ: dict[str, str]) -> None:
    """A closed descriptor would be the next file's: what is said would go into the spool."""
    spool = Path(environ["KUBENTLY_SPOOL_PATH"])
    before = spool.read_bytes()
    done = typed("kubently-agent status <&- >&- 2>&-; echo $?", environ)
    assert done.stdout == b"1\n"
    assert spool.read_bytes() == before


def test_input_that_is_closed(environ: dict[str, str]) -> None:
    done = typed("kubently-agent guard <&-", environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_an_interrupt_while_the_cluster_is_asked(environ: dict[str, str], tmp_path: Path) -> None:
    kubectl = stand_in.kubectl(tmp_path / "kubectl")
    asked = tmp_path / "asked"
    kubectl.write_text(
        kubectl.read_text().replace(
            '*" version"*)', f'*" version"*) echo > {shlex.quote(str(asked))}; exec /bin/sleep 60;; "")'
        )
    )
    (tmp_path / "kubeconfig").touch()
    more = {
        "KUBENTLY_API_URL": "http://127.0.0.1:1",
        "CLUSTER_ID": "sample",
        "KUBENTLY_TOKEN": "t",
        "KUBENTLY_KUBECTL": str(kubectl),
        "KUBENTLY_KUBECONFIG": str(tmp_path / "kubeconfig"),
        "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
    }
    process = await trio.lowlevel.open_process(
        [*AGENT, "check"],
        env={**environ, **more},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        with trio.fail_after(60):
            while not asked.exists():  # another process writes it
                await trio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            said = b"".join([part async for part in process.stderr])
            assert await process.wait() == 130
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
    assert said == b"kubently-agent: Interrupted.\n"
