"""`python -m demo`: the command line, what it says when it can't begin, and what may choose a cluster."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import FAILED, MISTAKE
from demo.__main__ import DemoError, _agreed, _kubectl, main
from demo.story.screen import Screen
from demo.story.stage import DemoFailed, Options, run

ROOT = Path(__file__).parents[3]
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: production
clusters: [{name: c, cluster: {server: "https://cluster.example.com"}}]
contexts: [{name: production, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
"""


def test_help_says_what_will_happen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for word in ("--cluster", "--yes", "--link", "--keep", "--seed", "--playground", "SIGKILL"):
        assert word in printed


def test_a_link_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--link", "pigeon"])
    assert ended.value.code == MISTAKE
    assert "pigeon" in capsys.readouterr().err


def test_no_kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DemoError, match="needs a kubectl"):
        _kubectl()
    (tmp_path / "kubectl").touch(mode=0o755)
    assert _kubectl() == tmp_path / "kubectl"


def test_a_folder_that_cannot_be(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert main(["--keep", str(file)]) == FAILED
    assert f"--keep: {file} can't be made: File exists." in capsys.readouterr().err


def test_a_module_is_missing() -> None:
    script = "import sys; sys.modules['starlette'] = None; from demo.__main__ import main; sys.exit(main([]))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == FAILED
    assert "The demo needs the module starlette" in done.stderr
    assert "Traceback" not in done.stderr


class Typing(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "ku be.yaml"
    path.write_text(KUBECONFIG)
    return path


@pytest.mark.parametrize(("typed", "goes_on"), [("y\n", True), ("Yes\n", True), ("\n", False), ("no\n", False)])
def test_a_cluster_of_ones_own_is_named_and_asked_for(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, goes_on: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Typing(typed))
    if goes_on:
        _agreed(kubeconfig, _kubectl(), yes=False)
    else:
        with pytest.raises(DemoError, match="Nothing was read"):
            _agreed(kubeconfig, _kubectl(), yes=False)
    assert "your cluster: production at https://cluster.example.com\n" in capsys.readouterr().out


def test_where_nobody_can_be_asked_a_second_word_is_needed(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["--cluster", str(kubeconfig)]) == FAILED
    assert "Say so: make demo CLUSTER=… YES=1" in capsys.readouterr().err
    _agreed(kubeconfig, _kubectl(), yes=True)


def test_a_kubeconfig_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cluster", str(tmp_path / "none")]) == FAILED
    assert f"There is no kubeconfig {tmp_path / 'none'}" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.touch()
    assert main(["--cluster", str(empty), "--yes"]) == FAILED
    assert f"{empty} names no cluster" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize("target", ["demo", "playground"])
def test_the_environment_chooses_no_cluster(target: str, tmp_path: Path) -> None:
    def recipe(*words: str) -> str:
        exported = {"KUBECONFIG": "/a:/b", "CLUSTER": "/c", "LINK": "stream", "YES": "1", "IMAGE": "mine"}
        done = subprocess.run(
            ["make", "--no-print-directory", "-n", target, *words],
            cwd=ROOT, env={"PATH": os.environ["PATH"], **exported}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return next(line for line in done.stdout.splitlines() if " -m demo" in line)

    assert recipe().split(" -m demo")[1].split() == (["--playground"] if target == "playground" else [])
    chosen = recipe("CLUSTER=/x y", "LINK=stream", "YES=1")
    assert chosen.endswith(' --cluster "$CLUSTER" --yes --link stream')


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
async def test_the_exit_code_is_the_proof(holds: bool, code: int, tmp_path: Path) -> None:
    async def play(stage: object) -> bool:
        return holds

    options = Options(tmp_path / "kubectl", "poll", folder=tmp_path)
    assert await run(options, Screen(io.StringIO(), {}), play) == code


async def test_what_ends_the_demo_is_said_with_the_end_of_the_log(tmp_path: Path) -> None:
    async def play(stage: object) -> bool:
        raise DemoFailed("the agent is tired")

    (tmp_path / "agent.log").write_text("good night\n")
    out = io.StringIO()
    assert await run(Options(tmp_path / "kubectl", "poll", folder=tmp_path), Screen(out, {}), play) == FAILED
    assert "The demo can't go on: the agent is tired." in " ".join(out.getvalue().split())
    assert "     good night\n" in out.getvalue()
