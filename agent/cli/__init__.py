"""`kubently-agent`: the commands, and their exit codes. Whatever ends one, people get sentences, never a traceback."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from agent import __version__
from agent.errors import AgentError, ConfigError, leaves

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

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return in_sentences("kubently-agent", lambda: _run_command(sys.argv[1:] if argv is None else argv))


def _run_command(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command it names, whose module alone is imported."""
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
        words = f"{summary[0].upper()}{summary[1:]}."
        its_parser = commands.add_parser(name, help=summary, description=words, formatter_class=parser.formatter_class)
        if name == named:
            command = import_module(f"agent.cli.{name}")
            command.add_arguments(its_parser)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        hint = "; kubectl's own arguments go after --" if options.command == "guard" else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    code: int = command.run(options)
    return code


def lines_given(what: str) -> Iterator[bytes]:
    """The lines on standard input; a person is told to type `what`. Raises AgentError if it can't be read."""
    if sys.stdin.buffer.isatty():
        print(f"{what}; Ctrl-D ends.", file=sys.stderr)
    try:
        yield from sys.stdin.buffer
    except OSError as error:
        raise AgentError(f"Standard input can't be read: {error.strerror}.", "Give it a file: … < FILE") from error


def in_sentences(program: str, command: Callable[[], int]) -> int:
    """Run it; however it ends, `program` explains that in sentences. Returns the exit code."""
    _open_streams()
    try:
        try:
            return command()
        finally:
            sys.stdout.flush()  # at Python's own end it is too late for a sentence about it
    except SystemExit:  # argparse has said what is wrong, or has helped
        raise
    except BaseException as ended:
        return max(_told(program, ended, cause) for cause in leaves(ended))


def _open_streams() -> None:
    """Make sure that there are three streams, and that any text can be printed in any encoding.

    A closed descriptor (`>&-`) would be reused for the next file, such as the spool. What stands in for a closed output
    can't be written, so a command that prints something says so.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)  # gets the lowest number that is free
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _told(program: str, ended: BaseException, cause: BaseException) -> int:
    """Say what has ended the command; returns the exit code."""
    match cause:
        case KeyboardInterrupt():
            sentences, code = "Interrupted.", INTERRUPTED
        case AgentError():
            sentences, code = str(cause), MISTAKE if isinstance(cause, ConfigError) else FAILED
        case OSError(filename=None):  # files that are opened have a name: this is standard output
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain once more
            if isinstance(cause, BrokenPipeError):  # `kubently-agent spool list | head`
                return DONE
            sentences, code = f"Standard output can't be written: {cause.strerror}.", FAILED
        case OSError():
            sentences, code = f"{cause.filename}: {cause.strerror}.", FAILED
        case _:
            raise ended
    for sentence in sentences.splitlines():
        print(f"{program}: {sentence}", file=sys.stderr)
    return code
