"""Under strace: a line that runs reads what kubectl itself needs, writes to its cache, and speaks to one server."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.guard import decide
from tests.whole.guard.bench import FIRST, Bench, bench

LINES = [
    "get pods -A -o wide",
    "get pods -o jsonpath={.items[*].metadata.name}",
    "get pods -o custom-columns=N:.metadata.name",
    "get pods -o go-template={{.kind}}",
    "get deploy,svc -o yaml -l app-v=9",
    "get --raw /readyz?verbose",
    "describe deploy web",
    "logs web-0 --tail=5",
    "top pods",
    "events --for=pod/web-0",
    "api-resources",
    "explain pods",
    "version",
    "auth can-i --list",
    "rollout status deploy/web",
    "rollout history deploy/web",
    "cluster-info",
]
CALL = re.compile(
    r"(open|openat|openat2|creat|execve|connect|unlink|unlinkat|rename|renameat|renameat2|mkdir|mkdirat)\((.*)"
)
PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
SYSTEM = re.compile(
    r"/(proc|sys|dev)/.*|/dev/null|/etc/(resolv\.conf|hosts|nsswitch\.conf|host\.conf|gai\.conf|localtime|protocols|services)"
    r"|/etc/(mime\.types|ld\.so\.cache|ssl/.*|apache.?/mime\.types|httpd/conf/mime\.types)|/usr/share/(zoneinfo|mime)/.*"
    r"|/usr/local/share/mime/.*|(/usr)?/lib.*|/usr/local/lib/.*"
)
"""What Go's own library looks at: limits of the container, names of hosts, time zones, types of files."""


def can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    probe = subprocess.run(["strace", "-o", "/dev/null", "/bin/true"], capture_output=True, check=False)
    return probe.returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace isn't installed, or may not trace here")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("traced")) as made:
        yield made


def calls(place: Bench, trace: Path, line: str) -> list[tuple[str, str]]:
    """What the line's kubectl opened, started, connected to or moved."""
    before = ["strace", "-f", "-qq", "-s", "400", "-e", "trace=file,connect", "-o", str(trace)]
    place.run(decide(line.split()), before=[shutil.which("strace") or "", *before[1:]])
    # strace writes what isn't ASCII as octal numbers: `\303\274` is an ü.
    text = re.sub(rb"\\([23][0-7][0-7])", lambda found: bytes([int(found[1], 8)]), trace.read_bytes())
    return CALL.findall(text.decode())


@pytest.mark.parametrize("line", LINES)
def test_a_line_touches_nothing_else(place: Bench, tmp_path: Path, line: str) -> None:
    found = calls(place, tmp_path / "trace", line)
    own = {
        str(each) for each in (FIRST, FIRST.resolve(), place.kubeconfig, place.folder / "work", place.folder / "path")
    }
    cache = (str(place.folder / "cache"), str(place.folder / "home"))
    port = place.server.url.rsplit(":", 1)[1]
    for call, rest in found:
        if call == "connect":
            if "AF_INET" in rest:
                assert f"htons({port})" in rest, (line, rest)
                assert "127.0.0.1" in rest, (line, rest)
            continue
        paths = PATH.findall(rest)[:1]
        assert paths, rest
        path = paths[0]
        if call == "execve":
            assert path == str(FIRST), (line, rest)
        elif call not in ("open", "openat", "openat2") or WRITES.search(rest):
            assert path.startswith(cache[:1]) or path == "/dev/null", (line, rest)
        else:
            assert path in own or path.startswith(cache) or SYSTEM.fullmatch(path), (line, rest)


def test_the_trace_shows_what_is_read_and_written(place: Bench, tmp_path: Path) -> None:
    """A trace with nothing in it would pass the test above."""
    shutil.rmtree(place.folder / "cache")
    found = calls(place, tmp_path / "trace", "get pods")
    assert any(call == "execve" for call, _ in found)
    assert any(call == "connect" and "AF_INET" in rest for call, rest in found)
    assert any(str(place.kubeconfig) in rest for _, rest in found)
    assert any(str(place.folder / "cache") in rest and "O_CREAT" in rest for _, rest in found)
