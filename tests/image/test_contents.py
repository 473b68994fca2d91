"""What is in the image, and what isn't."""

import os
import re
import subprocess
import sys

import pytest

from agent import __version__
from tests.image.podman import IMAGE, MACHINE, ROOT, base, inspect, podman, run

PROGRAMS = "find -H /bin /sbin /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin /opt -path '*bin/*' ! -type d | sort"
MOST_ABOVE_BASE_BYTES = 130_000_000


def programs(image: str) -> set[str]:
    listed = podman("run", "--rm", *MACHINE, "--entrypoint=sh", image, "-c", PROGRAMS)
    return set(listed.stdout.split())


def test_the_programs_are_those_of_the_base_and_four_more() -> None:
    before, after = programs(base()), programs(IMAGE)
    added = {path.rpartition("/")[2] for path in after - before}
    assert added == {"kubectl", "kubently-agent", "sqlite3", "tini", "tini-static", "python", "python3", "python3.13"}
    assert {path.rpartition("/")[2] for path in before - after} >= {"pip"}
    assert not [path for path in after if re.search(r"/(pip|gcc|cc|ld|make|curl|wget|git)[0-9.]*$", path)]


def test_nothing_in_it_can_install_python_packages() -> None:
    for module in ("pip", "ensurepip", "setuptools"):
        done = run("python", "-m", module, "--version")
        assert f"No module named {module}" in done.stderr
    assert run("sh", "-c", "find / -xdev -name 'pip-*.whl' -o -xdev -name 'pip-*.dist-info'").stdout == ""


def test_it_is_at_most_so_much_larger_than_its_base() -> None:
    assert inspect(IMAGE)["Size"] - inspect(base())["Size"] <= MOST_ABOVE_BASE_BYTES


def test_it_says_what_it_is() -> None:
    config = inspect(IMAGE)["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert labels["io.kubernetes.kubectl.version"] in run("kubectl", "version", "--client").stdout
    assert config["User"] == "65532:65532"
    assert run("kubently-agent", "--version").stdout == f"kubently-agent {__version__}\n"


def test_it_needs_no_writable_root_and_no_rights() -> None:
    done = run("sh", "-c", "id -u; touch /x; grep ^CapEff /proc/self/status")
    assert done.stdout == "65532\nCapEff:\t0000000000000000\n"
    assert "Read-only file system" in done.stderr


def test_all_that_the_agent_imports_is_byte_compiled() -> None:
    look = (
        "import sys, pathlib, agent.cli.run; "
        "print([n for n, m in sys.modules.items() if getattr(m, '__cached__', None) "
        "and not pathlib.Path(m.__cached__).exists()])"
    )
    begins = run("head", "-n1", "/opt/kubently-agent/bin/kubently-agent").stdout
    assert run(*begins.removeprefix("#!").split(), "-c", look).stdout == "[]\n"


@pytest.mark.parametrize("line", ["--help", "check --help", "status --help", "spool --help", "guard --explain"])
def test_without_docstrings_it_says_the_same(line: str) -> None:
    command = [sys.executable, "-m", "agent", *line.split()]
    width = os.environ | {"COLUMNS": "80"}  # as in a container without a terminal
    here = subprocess.run(command, cwd=ROOT, env=width, capture_output=True, text=True, check=True)
    assert run("kubently-agent", *line.split()).stdout == here.stdout


def test_of_the_agents_packages_re2_alone_is_made_for_one_architecture() -> None:
    done = run("sh", "-c", "cd /opt/kubently-agent; ls; find . -name '*.so*' -o -name '*.a'")
    *folders, compiled = done.stdout.splitlines()
    assert folders == ["bin", "include", "lib", "lib64", "pyvenv.cfg"]
    assert compiled.rpartition("/")[2].startswith("_re2.")
    assert (
        run("/opt/kubently-agent/bin/python", "-c", "import re2; print(bool(re2.search('a+', 'ca')))").stdout
        == "True\n"
    )


def test_sqlite_has_no_complaint_about_its_surroundings() -> None:
    done = run("sqlite3", ":memory:", "select 1")
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_process_1_collects_what_others_leave_behind() -> None:
    # Two orphans end while process 1's child still runs; the container's processes are then counted.
    script = "(sleep 0.1 &); (sleep 0.1 &); sleep 1; for p in /proc/[0-9]*; do grep ^State $p/status; done"
    states = run("tini", "--", "sh", "-c", script).stdout
    assert "Z" not in states
    assert "S" in states
