"""The port of the probes and metrics."""

from agent.check.findings import Area
from agent.config import Config
from agent.errors import ConfigError
from agent.probes.server import listen
from agent.spool.lock import is_held

CHECKS = ("port",)


async def check_health(area: Area, config: Config) -> None:
    """Whether the port can be listened at, or the agent that has the spool does."""
    address = ":".join(map(str, config.health_address))
    try:
        for listener in await listen(config.health_address):
            await listener.aclose()
    except ConfigError as error:
        if is_held(config.spool_path):
            area.passed("port", f"{address} is taken, as an agent runs here")
        else:
            area.failed("port", error)
    else:
        area.passed("port", f"{address} is free for /livez, /readyz and /metrics")
