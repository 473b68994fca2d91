"""The central API, as the rest of the agent sees it: commands in, results out. Nothing above this room knows which
contract is spoken, or that there is HTTP at all.
"""

from collections.abc import Callable

from agent.config import Config
from agent.link.commands import Batch
from agent.link.http import Http
from agent.link.link import Link, Reply, Verdict
from agent.link.poll import PollLink
from agent.link.stream import StreamLink
from agent.model import Capabilities

__all__ = ["Batch", "Link", "Reply", "Verdict", "open_link"]


def open_link(config: Config, capabilities: Callable[[], Capabilities] | None = None) -> Link:
    """The link that the configuration names. `capabilities` says what may be run here, for one that reports it. Raises
    ConfigError if a certificate file, the URL or the proxy can't be used.
    """
    http = Http(config)
    if config.link == "poll":
        return PollLink(http)
    return StreamLink(http, capabilities if config.report_capabilities else None, config.heartbeat_seconds)
