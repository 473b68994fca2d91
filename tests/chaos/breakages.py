"""`make breakages`: plants each breakage in a copy of the tree and shows that the suite turns red.

    python -m tests.chaos.breakages [WORD …]     # only those whose promise holds one of the words

A suite that stays green with a promise broken proves nothing about it; then the exit code is 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.planted import PLANTED, Planted

ROOT = Path(__file__).parents[2]
SECONDS = 120.0
FAILED = 1
"""pytest's exit code when it ran and some tests failed. Others mean that it couldn't even run."""


def plant(planted: Planted, tree: Path) -> None:
    """Break the copy in `tree`. Raises ValueError if the place isn't there, or isn't the only one."""
    file = tree / planted.file
    text = file.read_text()
    if text.count(planted.old) != 1:
        raise ValueError(f"{planted.file} has {text.count(planted.old)} places that read {planted.old!r}")
    file.write_text(text.replace(planted.old, planted.new))


def trouble(planted: Planted) -> str | None:
    """Why this breakage isn't shown to be caught; None if it is."""
    try:
        code, said = run_broken(planted)
    except ValueError as error:
        return str(error)
    if code == FAILED:
        return None
    return "the tests pass" if code == 0 else f"the tests can't run: {said[-1000:]}"


def run_broken(planted: Planted, *, control: bool = False) -> tuple[int, str]:
    """Run its tests in a copy with the breakage; or without it, which must be green or nothing is shown."""
    with tempfile.TemporaryDirectory(prefix="kubently-breakage-") as folder:
        tree = Path(folder)
        for name in ("agent", "demo", "docs", "tests"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        shutil.copy(ROOT / "README.md", tree)
        if not control:
            plant(planted, tree)
        command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider", *planted.tests]
        environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        with subprocess.Popen(
            command, cwd=tree, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                said, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                return FAILED, "it hangs"  # nobody overlooks that
    return process.returncode, said


def red_already(planted: Planted) -> str | None:
    """What its tests say without the breakage, if they fail."""
    code, said = run_broken(planted, control=True)
    return said[-1000:] if code else None


def main(words: list[str]) -> int:
    """Plant all, or those that are named, and say what came of each."""
    chosen = [planted for planted in PLANTED if not words or any(word in planted.promise for word in words)]
    controls = list({planted.tests: planted for planted in chosen}.values())
    missed = 0
    with ThreadPoolExecutor(2) as pool:
        for planted, said in zip(controls, pool.map(red_already, controls), strict=True):
            if said is not None:
                print(f"Without any breakage {' '.join(planted.tests)} fails, so it shows nothing:\n{said}")
                return 1
        for planted, why in zip(chosen, pool.map(trouble, chosen), strict=True):
            missed += why is not None
            print(
                f"{'caught' if why is None else 'MISSED'}  {planted.promise}" + (f" ({why})" if why else ""), flush=True
            )
    print(f"{len(chosen)} breakages planted, {missed} missed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
