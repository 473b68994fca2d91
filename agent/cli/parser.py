"""The command line of every command. Each command's module is imported when it is called, and not before:
`guard` and `status` answer at once.
"""

import argparse
from collections.abc import Sequence
from importlib import import_module

from agent import __version__

COMMANDS = {
    "run": "run the agent (this is also what no command at all does)",
    "check": "look at everything the agent needs, and say what is missing",
    "status": "one look at the spool: what waits, since when, why",
    "spool": "list, show, retry or export what is in the spool",
    "guard": "say whether kubectl arguments are allowed, and what would run",
    "redact": "take the credentials out of a text, as out of what kubectl prints",
}
"""`agent.cli.NAME` has what `kubently-agent NAME` does: `add_arguments` completes its parser, `run` gets the options
and returns the exit code."""

_EPILOG = """\
`kubently-agent COMMAND --help` says more about each. The agent is configured by
environment variables; `kubently-agent run --help` lists them.
Exit codes: 0 done, 1 failed or "no", 2 a mistake in the configuration or the
command line.
"""


def run_command(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command it names; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="kubently-agent",
        description="Runs read-only kubectl commands for a central API, and loses none of their results.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kubently-agent {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    arguments = arguments or ["run"]
    named = next((a for a in arguments if not a.startswith("-")), None)
    for name, summary in COMMANDS.items():
        its_parser = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == named:
            command = import_module(f"agent.cli.{name}")
            command.add_arguments(its_parser)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        hint = "; kubectl's own arguments go after --" if options.command == "guard" else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    code: int = command.run(options)
    return code
