"""The demo from beginning to end, without its pauses: the real agent, the real kubectl, both links."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import trio

from demo.story.play import DONE, INTERRUPTED, Options, play
from demo.story.screen import Screen
from tests.whole.demo.test_sample_cluster import KUBECTL

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="no kubectl beside this Python or on PATH")


@pytest.mark.parametrize("link", ["poll", "stream"])
async def test_nothing_is_lost(link: Literal["poll", "stream"], tmp_path: Path) -> None:
    out = io.StringIO()
    options = Options(Path(str(KUBECTL)), link, folder=tmp_path, seed=5, pace=0.25)
    code = await play(options, Screen(out, {}))
    printed = out.getvalue()
    assert code == DONE, printed
    assert "Nothing was lost, nothing was run twice, nothing was changed." in printed
    assert re.search(r"^   lost +0 +API +ok$", printed, re.MULTILINE)
    assert re.search(r"^   killed while they ran, and run again +[1-4] ", printed, re.MULTILINE)
    assert "PAYMENT_GATEWAY_URL is not set" in printed
    assert printed.count(" refused\n") == 3
    *told, listing, query = printed.splitlines()
    assert listing.endswith(f"kubently-agent spool list --spool {tmp_path}/spool.db")
    assert query.strip() == f'sqlite3 -readonly -line {tmp_path}/spool.db "select * from status"'
    assert max(map(len, told)) <= 100
    assert "get deployments -A" in typed(listing)
    if shutil.which("sqlite3"):
        assert re.search(r"waiting_to_be_sent = 0$", typed(query), re.MULTILINE)


def typed(command: str) -> str:
    """What a person gets who types what the demo names at its end."""
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout


async def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    demo = await trio.lowlevel.open_process(
        [sys.executable, "-m", "demo", "--keep", str(tmp_path)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert demo.stdout is not None
    printed = b""
    async with demo.stdout:
        while b"kubectl get pods" not in printed:
            printed += await demo.stdout.receive_some()
        demo.send_signal(signal.SIGINT)
        while chunk := await demo.stdout.receive_some():
            printed += chunk
    assert await demo.wait() == INTERRUPTED
    assert f"Stopped. The spool is left in {tmp_path}.".encode() in printed
    pid = int(re.findall(r"process (\d+)", (tmp_path / "spool.db.lock").read_text())[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
