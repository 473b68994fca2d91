"""Run this checkout's Python, with what it needs installed and an environment that decides nothing: what `make` uses.

    python3 -I .ci/venv.py demo|dev [NAME=VALUE …] [ARGUMENT …]

`.venv` is made where it stays (a virtual environment can't be moved), under a lock, and its marker is written last.
It is made anew when the marker is missing, or tells of another interpreter, another path, other requirements, or files
that are gone since. So an interrupt, two at once, a renamed checkout and an upgraded Python need no thought.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends this and its children without a word

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MARKER = VENV / ".complete"
SETS = {"demo": ["demo"], "dev": ["demo", "dev"]}
"""Each set of requirements, and those that are installed with it; they agree in their versions."""

KEPT = ("HOME", "USER", "LOGNAME", "PATH", "LD_LIBRARY_PATH", "TMPDIR", "TERM", "NO_COLOR")
"""All that passes from the environment: where things are, and what the terminal can show."""
REACH = """
HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NETRC XDG_CACHE_HOME XDG_CONFIG_HOME
PIP_CONFIG_FILE PIP_CACHE_DIR PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_NO_INDEX PIP_FIND_LINKS PIP_TRUSTED_HOST
PIP_PROXY PIP_CERT PIP_CLIENT_CERT PIP_KEYRING_PROVIDER PIP_DEFAULT_TIMEOUT PIP_TIMEOUT PIP_RETRIES
""".split()  # noqa: SIM905
"""And to pip alone: how packages are reached. What is installed, and where, isn't among them."""

COMMAND = """#!/bin/sh
exec "$(dirname -- "$0")/python" -P -m agent "$@"
"""


class SetupError(Exception):
    """The sentence that a person gets."""


def environment(*more: str) -> dict[str, str]:
    """What this and its children are to see."""
    kept = {name: os.environ[name] for name in (*KEPT, *more) if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "PYTHONUTF8": "1"}


def pip_environment() -> dict[str, str]:
    """As above, and the way to a registry. pip's own settings stay in force, but the place is this one."""
    return {**environment(*REACH), "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}


def digest(*parts: bytes) -> str:
    """Changes with each of these."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def base() -> str:
    """The interpreter that `.venv` is made from, also when this one runs in a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def identity() -> str:
    """What a `.venv` can't outlive."""
    return digest(Path(__file__).read_bytes(), sys.version.encode(), os.fsencode(base()), os.fsencode(VENV))


def files() -> dict[str, int]:
    """Each file of `.venv` with its size, but for those that come and go."""
    found: dict[str, int] = {}
    for folder, folders, names in os.walk(VENV):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for path in (Path(folder, name) for name in names):
            found[str(path.relative_to(VENV))] = path.stat().st_size
    return found


def wanted(name: str) -> str:
    """What one set is to be."""
    return digest((ROOT / f"requirements-{name}.txt").read_bytes())


def complete() -> set[str]:
    """The sets that are wholly here; none if anything is amiss."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        marker = json.loads(MARKER.read_bytes())
        here = files()
        if (
            marker["identity"] == identity()
            and all(wanted(name) == made for name, made in marker["sets"].items())
            and all(here.get(name) == size for name, size in marker["files"].items())
        ):
            return set(marker["sets"])
    return set()


@contextlib.contextmanager
def lock() -> Iterator[int]:
    """One at a time. Handed to the children too, so that none that outlives this one is disturbed."""
    with (ROOT / ".venv.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another make is setting up .venv; waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def say(text: str, end: str = "\n") -> None:
    """Tell how far it is. On a terminal the next line is written over one that has no end of its own."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end=end, flush=True)
    elif text:
        print(text, flush=True)


def progress(log: str) -> str:
    """How far pip is, by what it has said."""
    _, begun, names = log.partition("Installing collected packages: ")
    if not begun:
        return f", fetched {log.count('Collecting ')} packages" if log else ""
    every = names.partition("\n")[0].count(",") + 1
    there = sum(1 for _ in VENV.glob("lib/python*/site-packages/*.dist-info"))  # pip's own too
    return f", installed {min(there, every)} of {every} packages"


def step(command: list[str], what: str, held: int) -> None:
    """Run one command and show that it moves. What it printed is shown only if it fails."""
    began, shown = time.monotonic(), -9.0
    log = ROOT / ".venv.log"
    with log.open("wb") as out, subprocess.Popen(
        command, cwd=ROOT, env=pip_environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, pass_fds=[held]
    ) as process:  # fmt: skip
        while process.poll() is None:
            seconds = time.monotonic() - began
            if seconds - shown >= (0.2 if sys.stdout.isatty() else 2):
                shown = seconds
                say(f"{what}{progress(log.read_text(errors='replace'))}, {seconds:.0f} s", end="")
            time.sleep(0.05)
    if process.returncode:
        raise SetupError(log.read_text(errors="replace").strip())


def set_up(name: str, held: int) -> None:
    """Make `.venv` hold this set. The marker goes first and comes last."""
    if complete():
        MARKER.unlink()
    else:
        shutil.rmtree(VENV) if VENV.is_dir() and not VENV.is_symlink() else VENV.unlink(missing_ok=True)
        step([base(), "-I", "-m", "venv", str(VENV)], "Making .venv", held)
    pip = "-I -m pip install --disable-pip-version-check --no-input --progress-bar off --no-deps --require-hashes -r"
    step([str(PYTHON), *pip.split(), f"requirements-{name}.txt"], "Filling .venv", held)
    (site,) = VENV.glob("lib/python*/site-packages")
    (site / "checkout.pth").write_text(f"{os.path.relpath(ROOT, site)}\n")
    (VENV / "bin" / "kubently-agent").write_text(COMMAND)
    (VENV / "bin" / "kubently-agent").chmod(0o755)
    marker = {"identity": identity(), "sets": {each: wanted(each) for each in SETS[name]}, "files": files()}
    MARKER.with_suffix(".new").write_text(json.dumps(marker))
    MARKER.with_suffix(".new").replace(MARKER)


def main() -> None:
    """Set up what is missing, then become what is asked for."""
    _, name, *rest = sys.argv
    if name not in complete():
        with lock() as held:
            if name not in complete():
                set_up(name, held)
                say("", end="")
    added = {}
    while rest and re.match(r"[A-Z_]+=", rest[0]):
        variable, _, added[variable] = rest.pop(0).partition("=")
    if rest:
        os.chdir(ROOT)
        os.execve(PYTHON, [str(PYTHON), *rest], {**environment(), **added})  # noqa: S606


if __name__ == "__main__":
    try:
        main()
    except (SetupError, OSError) as error:
        sys.exit(f"\n{error}\n\nThe set-up of .venv failed, see above. The next make tries again.")
