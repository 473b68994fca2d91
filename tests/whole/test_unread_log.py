"""A log that nobody reads, as when the container runtime is stuck: everything else goes on."""

import contextlib
import os
import signal
import subprocess

import pytest
import trio

from demo.api import reference_api
from tests.kit.agent import AgentProcess, ask


@pytest.mark.parametrize("link", ["poll", "stream"])
async def test_commands_and_signals_dont_wait_for_the_log(link, tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    async with reference_api(links=[link]) as api:
        agent = AgentProcess(api, tmp_path, KUBENTLY_LINK=link)
        process = await trio.lowlevel.open_process(
            agent.command, env=agent.environ, stdin=subprocess.DEVNULL, stderr=writer
        )
        os.close(writer)
        try:
            with trio.fail_after(60):
                for number in range(3):
                    answer = await api.result(await ask(api, f"echo-{number}"))
                    assert answer.result["output"] == f"{number}\n"
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
        finally:
            os.close(reader)
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
