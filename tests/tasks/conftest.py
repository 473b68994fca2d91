import httpx
import pytest
import respx
from trio.testing import MockClock

from agent.spool import Limits, open_spool
from tests.tasks.fakes import Events


@pytest.fixture
def virtual_clock():
    """Jumps when nothing has happened for a while: with a threshold of 0 it would run ahead of the spool's thread."""
    return MockClock(autojump_threshold=0.05)


@pytest.fixture
def events(monkeypatch):
    """What the agent logs."""
    events = Events()
    monkeypatch.setattr("agent.log.sinks", [events.take])
    return events


@pytest.fixture
async def small_spool(tmp_path):
    """A real one, with room for four commands."""
    limits = Limits(max_bytes=32 << 20, output_bytes=4 << 20, journal=4)
    async with open_spool(tmp_path / "spool.db", limits, inline=True) as spool:
        yield spool


@pytest.fixture
def routes(monkeypatch):
    """Answers in place of the network: `routes.get("/agent/status").respond(…)`."""
    with respx.mock(base_url="http://localhost:1/base", assert_all_called=False, using=None) as router:
        answer = httpx.MockTransport(router.async_handler).handle_async_request
        monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lambda _, request: answer(request))
        yield router
