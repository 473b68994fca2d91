"""The spool's folder, room and file, and the port, as `check` sees them beside a live agent and without one."""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.check import Area, Finding, Mark
from agent.check.local import check_port, check_spool, file_system
from agent.config import Config
from agent.spool import Limits, open_spool

Made = Callable[..., Config]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    def make(**more: str) -> Config:
        return Config.from_environ(
            {
                "KUBENTLY_API_URL": "http://127.0.0.1:1",
                "CLUSTER_ID": "sample",
                "KUBENTLY_TOKEN": "t",
                "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool" / "spool.db"),
                **more,
            }
        )

    return make


def storage(config: Config) -> dict[str, Finding]:
    findings: list[Finding] = []
    with Area("Spool", findings.append) as area:
        check_spool(area, config)
    return {f.check: f for f in findings}


async def port(config: Config) -> Finding:
    findings: list[Finding] = []
    with Area("Probes", findings.append) as area:
        await check_port(area, config)
    (finding,) = findings
    return finding


def test_a_folder_without_a_spool_yet(made: Made, tmp_path: Path) -> None:
    findings = storage(made())
    assert {f.mark for f in findings.values()} == {Mark.PASSED}
    assert findings["folder"].words.endswith(f"{tmp_path / 'spool'} is made in it at the first start")
    assert "none yet" in findings["file"].words
    assert list(tmp_path.iterdir()) == []


async def test_beside_the_agent_that_has_it(made: Made) -> None:
    config = made()
    async with open_spool(config.spool_path, Limits(max_bytes=config.spool_max_bytes)) as spool:
        before = sorted(p.name for p in config.spool_path.parent.iterdir())
        findings = storage(config)
        assert findings["file"].words == "spool.db is sound, and an agent works with it now"
        assert sorted(p.name for p in config.spool_path.parent.iterdir()) == before
        await spool.try_write()
    assert storage(config)["file"].words == "spool.db is sound"


async def test_a_damaged_file(made: Made) -> None:
    config = made()
    async with open_spool(config.spool_path, Limits(max_bytes=config.spool_max_bytes)):
        pass  # its mark is beside it now: what is damaged there is the agent's own
    config.spool_path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    finding = storage(config)["file"]
    assert finding.mark is Mark.WARNED
    assert "puts it aside" in finding.hint


def test_somebodys_own_file(made: Made) -> None:
    config = made()
    config.spool_path.parent.mkdir()
    config.spool_path.write_text("my notes\n")
    finding = storage(config)["file"]
    assert finding.mark is Mark.FAILED
    assert finding.words == f"{config.spool_path} is no SQLite database, and no spool of this agent."
    assert finding.hint.startswith("It wasn't touched.")
    assert config.spool_path.read_text() == "my notes\n"


def test_a_volume_without_shared_memory(tmp_path: Path) -> None:
    """A limit for a file's size stands for it: SQLite can't make the index of its write-ahead log, here as on 9p."""
    script = (
        "import resource, sys; from agent.cli import check, main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20480, 20480)); sys.exit(main(['check']))"
    )
    environ = {
        "KUBENTLY_API_URL": "http://127.0.0.1:1",
        "CLUSTER_ID": "sample",
        "KUBENTLY_TOKEN": "t",
        "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db"),
    }
    done = subprocess.run(
        [sys.executable, "-B", "-c", script], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert f"× folder The volume of {tmp_path} has no shared memory between processes" in said
    assert "→ Use a local volume" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "mark"), [(300 << 20, Mark.PASSED), (100 << 20, Mark.WARNED), (1 << 20, Mark.FAILED)])
def test_room_for_all_that_the_spool_may_take(
    free: int, mark: Mark, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.spool.space.disk_free", lambda _: free)
    finding = storage(made())["room"]
    assert finding.mark is mark
    if mark is Mark.WARNED:
        assert "lower KUBENTLY_SPOOL_MAX_BYTES" in finding.hint


async def test_the_port_is_free(made: Made) -> None:
    finding = await port(made(KUBENTLY_HEALTH_ADDRESS="127.0.0.1:0"))
    assert finding.mark is Mark.PASSED


async def test_the_port_is_anothers_or_a_running_agents(made: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = made(KUBENTLY_HEALTH_ADDRESS=f"127.0.0.1:{taken.getsockname()[1]}")
        finding = await port(config)
        assert finding.mark is Mark.FAILED
        assert "Address already in use" in finding.words
        async with open_spool(config.spool_path, Limits(max_bytes=config.spool_max_bytes)):
            finding = await port(config)
        assert finding.mark is Mark.PASSED
        assert "an agent runs here" in finding.words


async def test_an_address_of_another_machine(made: Made) -> None:
    finding = await port(made(KUBENTLY_HEALTH_ADDRESS="192.0.2.7:8080"))
    assert finding.mark is Mark.FAILED
    assert finding.words == (
        "KUBENTLY_HEALTH_ADDRESS: 192.0.2.7:8080 can't be opened: Cannot assign requested address."
    )


@pytest.mark.skipif(file_system(Path("/dev/shm")) != "tmpfs", reason="no memory to be had as a file system")
def test_memory_isnt_a_disk(made: Made) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        finding = storage(made(KUBENTLY_SPOOL_PATH=f"{folder}/spool.db"))["folder"]
    assert finding.mark is Mark.WARNED
    assert finding.words == f"{folder} is on tmpfs"


@pytest.mark.parametrize(("kind", "mark"), [("nfs4", Mark.WARNED), ("9p", Mark.WARNED), ("", Mark.PASSED)])
def test_a_volume_on_the_network(kind: str, mark: Mark, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.check.local.file_system", lambda _: kind)
    assert storage(made())["folder"].mark is mark
