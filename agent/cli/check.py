"""`kubently-agent check`: one line for each check, and what to do about those that fail."""

import argparse
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from functools import partial
from textwrap import fill

import trio

from agent.check import Area, Finding, Mark, Tell
from agent.check.api import check_api
from agent.check.cluster import check_cluster
from agent.check.local import check_port, check_spool, read_configuration
from agent.config import Config

_WIDTH = 17  # of the longest check's name
_COLUMNS = 110  # beyond that lines are hard to read

_EPILOG = """\
√ as it should be   ! works, but look at it   × to be put right   – has no meaning here

It changes nothing, and may run beside a live agent:
kubectl exec deploy/kubently-agent -- kubently-agent check
Exit codes: 0 nothing failed, 1 something did, 2 a mistake in the configuration.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the command's own parser."""
    parser.epilog = _EPILOG


def run(_: argparse.Namespace) -> int:
    """Make all checks and tell them as they come: some take seconds. Returns the exit code."""
    told: list[Finding] = []

    def tell(finding: Finding) -> None:
        if not told or told[-1].area != finding.area:
            print(f"\n{finding.area}" if told else finding.area)
        told.append(finding)
        print(_lines(finding), flush=True)

    config = trio.run(check_everything, os.environ, tell)
    count = Counter(finding.mark for finding in told)
    words = {Mark.PASSED: "passed", Mark.FAILED: "failed", Mark.WARNED: "to look at"}
    print(f"\n{', '.join(f'{count[mark]} {word}' for mark, word in words.items() if count[mark])}.")
    if count[Mark.FAILED]:
        print("What needs a check that failed wasn't looked at.")
    return 2 if config is None else int(count[Mark.FAILED] > 0)


async def check_everything(environ: Mapping[str, str], tell: Tell) -> Config | None:
    """Make every check; `tell` gets each finding as it is known. Returns None if the configuration is wrong."""
    config = None
    with Area("Configuration", tell) as area:
        config = read_configuration(area, environ)
    if config is None:
        return None
    with Area("Central API", tell) as area:
        await check_api(area, config)
    with Area("Cluster", tell) as area:
        await check_cluster(area, config)
    with Area("Spool", tell) as area:
        check_spool(area, config)
    with Area("Probes", tell) as area:
        await check_port(area, config)
    return config


def _lines(finding: Finding) -> str:
    """A finding as it is printed, as wide as the terminal and no wider."""
    width = max(60, min(shutil.get_terminal_size((_COLUMNS, 0)).columns, _COLUMNS))
    wrap, blank = partial(fill, width=width, break_long_words=False, break_on_hyphens=False), " " * (_WIDTH + 5)
    name = f"  {finding.mark} {finding.check:<{_WIDTH}} "
    printed = wrap(finding.words, initial_indent=name, subsequent_indent=blank)
    if finding.hint:
        printed += "\n" + wrap(finding.hint, initial_indent=f"{blank}→ ", subsequent_indent=f"{blank}  ")
    return printed
