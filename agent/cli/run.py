"""`kubently-agent run`, which is also what `kubently-agent` alone does."""

import os

import trio

from agent import humanize, log
from agent.config import Config, output_was_lowered
from agent.errors import ConfigError
from agent.run import run as run_agent


def run() -> int:
    """Run the agent until it is told to stop."""
    config = Config.from_environ(os.environ)
    log.set_up(config.log_level, config.log_format)
    folder = config.spool_path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"KUBENTLY_SPOOL_PATH: the folder {str(folder)!r} can't be made: {error.strerror}."
        raise ConfigError(problem, "Mount a writable volume there (in Kubernetes: fsGroup).") from error
    if output_was_lowered(config, os.environ):
        size = humanize.size(config.max_output_bytes)
        log.Log("agent").info("of one output less is kept, as the spool is small", at_most=size)
    return trio.run(run_agent, config)
