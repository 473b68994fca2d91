"""`python -m demo`: the command line, and what it says when it can't begin."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import FAILED, MISTAKE
from demo.__main__ import DemoError, _kubectl, main
from demo.story import play


def test_help_says_what_will_happen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for word in ("--kubeconfig", "--link", "--keep", "--seed", "SIGKILL"):
        assert word in printed
    assert max(map(len, printed.splitlines())) <= 100


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


def test_no_such_kubeconfig(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--kubeconfig", str(tmp_path / "none")]) == FAILED
    assert f"there is no file {tmp_path / 'none'}" in capsys.readouterr().err


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


class FakeStory:
    def __init__(self, holds: bool) -> None:
        self.holds = holds

    async def tell(self) -> bool:
        return self.holds


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
async def test_the_exit_code_is_the_proof(holds: bool, code: int) -> None:
    assert await play._told(FakeStory(holds), None) == code  # type: ignore[arg-type]
