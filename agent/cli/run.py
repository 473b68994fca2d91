"""`kubently-agent run`, which is also what `kubently-agent` alone does."""

import argparse
import os

import trio

from agent import log
from agent.config import SETTINGS, Config
from agent.run import run as run_agent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the command's own parser."""
    lines = ["environment variables:"]
    for setting in SETTINGS.values():
        default = "required" if setting.example else setting.default
        lines += [f"  {setting.name}{f'  ({default})' if default else ''}", f"      {setting.meaning}"]
    parser.epilog = "\n".join([*lines, "", "Exactly one of KUBENTLY_TOKEN and KUBENTLY_TOKEN_FILE must be set."])


def run(_: argparse.Namespace) -> int:
    """Run the agent until it is told to stop."""
    config = Config.from_environ(os.environ)
    log.set_up(config.log_level, config.log_format)
    config.spool_path.parent.mkdir(parents=True, exist_ok=True)
    return trio.run(run_agent, config)
