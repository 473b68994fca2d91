"""What a running agent holds in its memory for months: nothing that only its other commands or tests need."""

import sys

import trio

from demo.api import reference_api
from tests.whole.agents import AgentProcess

TELLING = """
import sys
from agent.cli import main
code = main([])
print("\\n".join(sys.modules), file=open(sys.argv[1], "w"))
sys.exit(code)
"""

UNWANTED = ("click", "tabulate", "dateutil", "anyio", "h2", "httpcore", "rich", "starlette", "hypercorn")


async def imported_by_an_agent_at_work(link, folder):
    """After a command from one end to the other, and a stop."""
    async with reference_api(links=[link]) as api:
        agent = AgentProcess(api.url, api.token, api.cluster_id, folder, KUBENTLY_LINK=link)
        with agent.log.open("ab") as log:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-c", TELLING, str(folder / "modules")], env=agent.environ, stdout=log, stderr=log
            )
        try:
            with trio.fail_after(20):
                while link == "stream" and not api.listeners:
                    await trio.sleep(0.02)
                await api.result(await api.ask(["get", "pods", "echo-hello"]))
                process.terminate()
                assert await process.wait() == 0
        finally:
            process.kill()
            await process.wait()
    return (folder / "modules").read_text().split()


async def test_polling(tmp_path):
    modules = await imported_by_an_agent_at_work("poll", tmp_path)
    assert {"trio", "httpx", "agent.link.poll"} <= set(modules)
    roots = {name.partition(".")[0] for name in modules}
    assert roots.isdisjoint(UNWANTED)
    assert not [name for name in modules if name.startswith(("demo", "agent.check", "agent.link.stream"))]


async def test_streaming(tmp_path):
    modules = await imported_by_an_agent_at_work("stream", tmp_path)
    assert "agent.link.stream" in modules
    assert "agent.link.poll" not in modules
