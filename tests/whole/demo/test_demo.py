"""The demo from beginning to end, without its pauses, and the playground: the real agent and kubectl, both links."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import httpx
import pytest
import trio

from demo.story.screen import Screen
from demo.story.stage import DONE, INTERRUPTED, Options
from demo.story.story import tell
from tests.whole.demo.test_sample_cluster import KUBECTL

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="no kubectl beside this Python or on PATH")


@pytest.mark.parametrize("link", ["poll", "stream"])
async def test_nothing_is_lost(link: Literal["poll", "stream"], tmp_path: Path) -> None:
    out = io.StringIO()
    options = Options(Path(str(KUBECTL)), link, folder=tmp_path, seed=5, pace=0.25)
    code = await tell(options, Screen(out, {}))
    printed = out.getvalue()
    assert code == DONE, printed
    assert "Nothing was lost, answered twice or changed." in printed
    assert re.search(r"^   ok        0   lost, says the API$", printed, re.MULTILINE)
    assert re.search(r"^   ok   ([1-4]) of \1   run again, as the kill hit them", printed, re.MULTILINE)
    assert printed.count("\n   ok ") == 5
    assert "PAYMENT_GATEWAY_URL is not set" in printed
    assert len(re.findall(r"^     ERROR web order \d+ failed: checkout", printed, re.MULTILINE)) == 3
    assert "     name: DB_PASSWORD\n     value: <redacted>\n" in printed
    assert printed.count(" refused\n") == 1
    *told, query = printed.splitlines()
    assert query.strip() == f"sqlite3 -readonly -line {tmp_path}/spool.db 'select * from status'"
    assert max(map(len, told)) <= 80
    if shutil.which("sqlite3"):
        shown = subprocess.run(query, shell=True, capture_output=True, text=True, check=True).stdout
        assert re.search(r"waiting_to_be_sent = 0$", shown, re.MULTILINE)


class Demo:
    """`python -m demo` as a process, and what it printed."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.printed = ""

    async def until(self, words: str | None) -> str:
        """Read until `words` come; None: to the end."""
        assert self.process.stdout is not None
        while words is None or words not in self.printed:
            chunk = await self.process.stdout.receive_some()
            if not chunk:
                assert words is None, self.printed
                break
            self.printed += chunk.decode()
        return self.printed


@asynccontextmanager
async def demo(*args: str) -> AsyncIterator[Demo]:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "demo", *args], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    async with process.stdout:
        try:
            with trio.fail_after(60):
                yield Demo(process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            with trio.CancelScope(shield=True):
                await process.wait()


async def interrupted(running: Demo, folder: Path) -> None:
    """Ctrl-C ends it in order, and nothing is left."""
    running.process.send_signal(signal.SIGINT)
    printed = await running.until(None)
    assert await running.process.wait() == INTERRUPTED
    assert f"Stopped. The spool is left in\n   {folder}\n" in printed
    pid = int(re.findall(r"process (\d+)", (folder / "spool.db.lock").read_text())[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_whoever_reads_it_it_ends_in_sentences(tmp_path: Path) -> None:
    async with demo("--keep", str(tmp_path)) as running:
        await running.until("poll link")
        assert running.process.stdout is not None
        await running.process.stdout.aclose()
        assert await running.process.wait() == DONE
    with Path("/dev/full").open("wb") as full:
        ended = await trio.run_process(
            [sys.executable, "-m", "demo", "--keep", str(tmp_path)], stdout=full, capture_stderr=True, check=False
        )
    assert ended.stderr.decode().splitlines() == ["demo: Standard output can't be written: No space left on device."]


async def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    async with demo("--keep", str(tmp_path)) as running:
        await running.until("kubectl get pods")
        await interrupted(running, tmp_path)


async def test_the_playground_answers_until_ctrl_c(tmp_path: Path) -> None:
    async with demo("--playground", "--keep", str(tmp_path), "--link", "stream") as running:
        printed = await running.until("TOKEN=")
        url = re.findall(r"curl -s (\S+) -d 'get pods -A'", printed)[0]
        async with httpx.AsyncClient(trust_env=False, timeout=30) as curl:
            while (reply := await curl.post(url, content="get pods -n shop")).status_code != 200:
                assert reply.status_code == 503, "only until the agent's stream is there"
            assert "CrashLoopBackOff" in reply.text
            assert "not allowed" in (await curl.post(url, content="kubectl delete pods --all")).text
            nothing = (await curl.post(url, content="get pods -n nowhere")).text
            assert nothing == "No resources found in nowhere namespace.\n"
            search = json.loads(shlex.split(next(row for row in printed.splitlines() if "log_search" in row))[-1])
            assert len(re.findall("order [0-9]+ failed", (await curl.post(url, json=search)).text)) == 3
            asked = json.dumps({"args": ["get", "nodes", "-o", "name"]})
            assert (await curl.post(url, content=asked)).text.split()[0] == "node/control-1"
            for wrong in ("{", "get 'pods", '{"tool": "helm"}'):
                assert (await curl.post(url, content=wrong)).status_code == 400
            by_name = {"Host": "attacker.example.com"}
            assert (await curl.post(url, content="get pods", headers=by_name)).status_code == 403
        for view in ("recent", "status") if shutil.which("sqlite3") else ():
            line = next(row for row in printed.splitlines() if "sqlite3" in row).replace("recent", view)
            assert subprocess.run(shlex.split(line), capture_output=True, check=True).stdout
        await interrupted(running, tmp_path)
