"""The central API, as the rest of the agent sees it: commands in, results out.

Nothing above this room knows which contract is spoken, or that there is HTTP at all.
"""

import random
from collections.abc import Callable

import trio

from agent.config import Config
from agent.link.capabilities import Reporter
from agent.link.contract import Batch, ReadyResult, Reply, Verdict
from agent.link.http import Http
from agent.link.link import Link
from agent.link.poll import PollLink
from agent.link.stream import StreamLink
from agent.model import Capabilities

__all__ = ["Batch", "Link", "ReadyResult", "Reply", "Verdict", "open_link"]


def open_link(config: Config, capabilities: Callable[[], Capabilities] | None = None) -> Link:
    """The link that the configuration names.

    Args:
        config: the configuration.
        capabilities: what may be run here, for links that report it; None to report nothing.

    Raises:
        ConfigError: a certificate file, the URL or the proxy can't be used.
    """
    http = Http(config)
    if config.link == "poll":
        return PollLink(http, now=trio.current_time, random=random.random)
    reporter = None
    if capabilities is not None and config.report_capabilities:
        reporter = Reporter(http, capabilities, config.heartbeat_seconds)
    return StreamLink(http, reporter, now=trio.current_time, random=random.random)
