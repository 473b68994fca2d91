"""How `make` sets up `.venv`, and what the environment may decide. The interpreter is a stand-in but for one test."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = r"""#!/bin/sh
case "$*" in
  "-I -m venv "*)
    echo made >> "{folder}/did"
    mkdir -p "$4/bin" "$4/lib/python3.11/site-packages"
    cp "$0" "$4/bin/python";;
  "-I -m pip "*)
    for list; do :; done
    env > "{folder}/pip"
    echo "filled from $list" >> "{folder}/did"
    left=3000
    while [ -e "{folder}/slow" ] && [ $((left -= 1)) -gt 0 ]; do sleep 0.02; done
    if [ -e "{folder}/broken" ]; then echo "no matching wheel"; exit 1; fi
    echo "x = 1" > .venv/lib/python3.11/site-packages/"$list".py;;
  *) echo "$*"; env;;
esac
"""
"""A Python whose venv and pip do next to nothing, and tell."""
RUN = """
import runpy, sys
del sys.argv[0]
sys._base_executable = sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "a chäckout"
        (self.root / ".ci").mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "venv.py", self.root / ".ci")
        for name in ("demo", "dev"):
            (self.root / f"requirements-{name}.txt").write_text("some==1\n")
        self.python = self.another_python("python")

    def another_python(self, name: str) -> Path:
        python = self.folder / name
        python.write_text(PYTHON.replace("{folder}", str(self.folder)))
        python.chmod(0o755)
        return python

    @property
    def site(self) -> Path:
        return self.root / ".venv/lib/python3.11/site-packages"

    def start(self, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-I", "-c", RUN, str(self.python), str(self.root / ".ci" / "venv.py"), *arguments]
        return subprocess.Popen(
            command, env={**os.environ, **environ}, stdout=-1, stderr=-1, text=True, start_new_session=True
        )

    def run(self, *arguments: str, **environ: str) -> str:
        with self.start(*arguments, **environ) as process:
            out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        return out

    def did(self) -> list[str]:
        """What the stand-in was asked for since the last look."""
        told = self.folder / "did"
        lines = told.read_text().splitlines() if told.exists() else []
        told.unlink(missing_ok=True)
        return lines

    def until_filling(self) -> None:
        told = self.folder / "did"
        while not told.exists() or "filled" not in told.read_text():
            time.sleep(0.01)


MADE = ["made", "filled from requirements-demo.txt"]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_once_and_then_no_more(checkout: Checkout):
    checkout.run("demo")
    assert checkout.did() == MADE
    checkout.run("demo")
    assert checkout.did() == []


def test_the_tests_need_more_than_the_demo(checkout: Checkout):
    checkout.run("demo")
    checkout.did()
    checkout.run("dev")
    assert checkout.did() == ["filled from requirements-dev.txt"]
    checkout.run("demo")
    assert checkout.did() == []


def test_ruin_is_noticed_and_mended(checkout: Checkout):
    def rename() -> None:
        checkout.root = checkout.root.rename(checkout.folder / "renamed")

    def upgrade() -> None:
        checkout.python = checkout.another_python("python3.99")

    def block() -> None:
        shutil.rmtree(checkout.root / ".venv")
        (checkout.root / ".venv").touch()

    ruins = [
        rename,
        upgrade,
        block,
        lambda: next(checkout.site.glob("*.py")).unlink(),
        lambda: next(checkout.site.glob("*.py")).write_text(""),
        lambda: (checkout.root / ".venv/bin/python").write_text(""),
        lambda: (checkout.root / ".venv/.complete").write_text('{"identity":'),
        lambda: (checkout.root / ".venv/.complete").write_text("{}"),
        lambda: (checkout.root / "requirements-demo.txt").write_text("some==2\n"),
    ]
    checkout.run("demo")
    for ruin in ruins:
        checkout.did()
        ruin()
        assert "-c pass" in checkout.run("demo", "-c", "pass"), ruin
        assert checkout.did() == MADE, ruin


def test_what_somebody_added_stays(checkout: Checkout):
    checkout.run("demo")
    checkout.did()
    (checkout.site / "debugger.py").touch()
    checkout.run("demo")
    assert checkout.did() == []


def test_an_interrupt_leaves_nothing_that_passes_for_whole(checkout: Checkout):
    (checkout.folder / "slow").touch()
    with checkout.start("demo") as process:
        checkout.until_filling()
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (-signal.SIGINT, "")
    assert "Traceback" not in out
    (checkout.folder / "slow").unlink()
    checkout.did()
    checkout.run("demo")
    assert checkout.did() == MADE


@pytest.mark.parametrize(("kill", "did"), [(False, []), (True, MADE)])
def test_two_at_once_are_one_after_the_other(checkout: Checkout, kill: bool, did: list[str]):
    """Also when the first is killed and its pip isn't: that one still writes."""
    (checkout.folder / "slow").touch()
    with checkout.start("demo") as first:
        checkout.until_filling()
        if kill:
            first.kill()
            first.wait()
        with checkout.start("demo") as second:
            assert second.stdout
            assert "waiting" in second.stdout.readline()
            assert checkout.did() == MADE
            (checkout.folder / "slow").unlink()
            second.communicate()
        first.communicate()
    assert (first.returncode, second.returncode) == (-signal.SIGKILL if kill else 0, 0)
    assert checkout.did() == did


def test_what_pip_says_is_shown_when_it_fails(checkout: Checkout):
    (checkout.folder / "broken").touch()
    with checkout.start("demo", "-c", "pass") as process:
        out, err = process.communicate()
    assert process.returncode == 1
    assert "-c pass" not in out
    assert "no matching wheel\n\nThe set-up of .venv failed, see above. The next make tries again.\n" in err
    (checkout.folder / "broken").unlink()
    checkout.did()
    checkout.run("demo")
    assert checkout.did() == MADE


HOSTILE = {
    **dict.fromkeys(("KUBECONFIG", "LINK", "CLUSTER", "CLUSTER_ID", "KUBENTLY_TOKEN", "KUBERNETES_SERVICE_HOST"), "x"),
    **dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE", "PYTHONIOENCODING", "PYTEST_ADDOPTS"), "x"),
    **dict.fromkeys(
        ("PYTHON", "VENV", "IMAGE", "ENGINE", "SEED", "MINUTES", "PARTS", "RUN", "RUN_DEMO", "RECENT"), "x"
    ),
    **dict.fromkeys(
        ("VERSION", "REVISION", "CORE", "RUNTIME", "BENCH_PYTHON", "MEASURE", "BUILD_OPTIONS", "SBOM"), "x"
    ),
    **dict.fromkeys(("PIP_TARGET", "PIP_PREFIX", "PIP_DRY_RUN", "PIP_NO_BINARY"), "x"),
    "PIP_USER": "1",
    "LC_ALL": "C",
    "LANG": "de_DE",
    "TZ": "Asia/Kolkata",
    "COLUMNS": "40",
}
REACH = {
    "PIP_INDEX_URL": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:2",
    "PIP_CERT": "c",
    "SSL_CERT_FILE": "c",
}


def test_nothing_in_the_environment_decides(checkout: Checkout):
    told = checkout.run("demo", "BENCH_PYTHON=a b", "-m", "pytest", "x=y", **HOSTILE, **REACH).splitlines()
    seen = dict(line.split("=", 1) for line in told if "=" in line and not line.startswith("-m"))
    assert "-m pytest x=y" in told
    shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    places = {"HOME", "USER", "LOGNAME", "PATH", "LD_LIBRARY_PATH", "TMPDIR", "TERM", "NO_COLOR"}
    assert set(seen) - shell - places == {"LANG", "PYTHONUTF8", "BENCH_PYTHON"}
    assert seen["BENCH_PYTHON"] == "a b"
    given = dict(line.split("=", 1) for line in (checkout.folder / "pip").read_text().splitlines())
    assert REACH.items() <= given.items()
    assert set(given) & set(HOSTILE) == {"PIP_USER", "LANG"}
    assert (given["PIP_USER"], given["LANG"]) == ("0", "C.UTF-8")


def make(*arguments: str, **environ: str) -> str:
    """What make would do."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME")}
    done = subprocess.run(
        ["make", "--dry-run", *arguments],
        cwd=ROOT, env={**kept, **environ}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


TARGETS = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_make_takes_its_variables_from_its_own_command_line_alone():
    chance = ("SEED=1", "ENGINE=docker", "BENCH_PYTHON=python3.13")
    assert make(*TARGETS, *chance, **HOSTILE) == make(*TARGETS, *chance)
    assert '-m demo --cluster "$CLUSTER"' in make("demo", "CLUSTER=a b")
    assert "--link stream" in make("demo", "LINK=stream")
    assert "pythonX -I .ci/venv.py dev -m pytest" in make("test", "PYTHON=pythonX")


def wheel(folder: Path) -> str:
    """A package of one module, and how a locked list names it."""
    file = folder / "small-1-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("small.py", "size = 1\n")
        archive.writestr("small-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1\n")
        archive.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("small-1.dist-info/RECORD", "")
    return f"small==1 --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def test_with_a_real_interpreter(checkout: Checkout):
    (checkout.root / "requirements-demo.txt").write_text(wheel(checkout.folder))
    (checkout.root / "agent.py").write_text("import small, sys; print(small.size, *sys.argv[1:], sys.prefix)\n")
    checkout.python = Path(os.path.realpath(sys.executable))
    reach = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": checkout.folder.as_uri()}
    out = checkout.run("demo", "-c", "import small, agent", **reach)
    assert out.splitlines()[-1] == f"1 {checkout.root}/.venv"
    command = [str(checkout.root / ".venv/bin/kubently-agent"), "status"]
    told = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout
    assert told == f"1 status {checkout.root}/.venv\n"
