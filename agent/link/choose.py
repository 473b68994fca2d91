"""Which link is spoken."""

import trio

from agent.config import Config
from agent.link.contract import Link
from agent.link.http import Http
from agent.link.poll import PollLink


def open_link(config: Config) -> Link:
    """The link that the configuration names."""
    return PollLink(Http(config), trio.current_time)
