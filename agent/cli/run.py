"""`kubently-agent run`, which is also what `kubently-agent` alone does."""

import os

import trio

from agent import log
from agent.config import Config
from agent.run import run as run_agent


def run() -> int:
    """Run the agent until it is told to stop."""
    config = Config.from_environ(os.environ)
    log.set_up(config.log_level, config.log_format)
    return trio.run(run_agent, config)
