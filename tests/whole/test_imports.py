"""What runs in the cluster: nothing of the demo, of the tests, or of the agent's other commands."""

import sys

import pytest
import trio

from demo.api import reference_api
from tests.kit.agent import agent_process, ask

TELLING = """
import sys
from agent.cli import main
code = main([])
print("\\n".join(sys.modules), file=open(sys.argv[1], "w"))
sys.exit(code)
"""

UNWANTED = ("demo", "agent.check", "starlette", "hypercorn")


async def imported_by_an_agent_at_work(link, folder):
    """After a command from one end to the other, and a stop."""
    async with reference_api(links=[link]) as api:
        telling = (sys.executable, "-c", TELLING, str(folder / "modules"))
        async with agent_process(api, folder, command=telling) as agent:
            with trio.fail_after(60):
                await api.result(await ask(api, "echo-hello"))
                assert await agent.stop() == 0
    return (folder / "modules").read_text().split()


@pytest.mark.parametrize("link", ["poll", "stream"])
async def test_an_agent_at_work_has_imported_neither_demo_nor_check(link, tmp_path):
    modules = await imported_by_an_agent_at_work(link, tmp_path)
    assert {"trio", "httpx", f"agent.link.{link}"} <= set(modules)
    assert not [name for name in modules if name.startswith(UNWANTED)]
