"""`kubently-agent`: the commands and their exit codes.

    0  done
    1  it didn't work, or the answer is no: not found, refused, not healthy
    2  a mistake in the configuration or in the command line
    130  interrupted by Ctrl-C

Whatever ends a command, and whoever reads what it prints, a person gets sentences and never a traceback.
"""

import os
import sys
from collections.abc import Callable, Sequence

from agent.cli.parser import run_command
from agent.errors import AgentError, ConfigError, leaves

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return in_sentences("kubently-agent", lambda: run_command(sys.argv[1:] if argv is None else argv))


def in_sentences(program: str, command: Callable[[], int]) -> int:
    """Run it; whatever ends it, `program` says it in sentences. Returns the exit code."""
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
    """See to it that there are three streams, and that any text can be printed in any encoding.

    A descriptor that is closed (`>&-`) would be the next file's, such as the spool's. What stands in for a closed
    output can't be written, so that a command that prints something says so.
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
        case BrokenPipeError():  # `kubently-agent spool list | head`
            sentences, code = "", DONE
        case OSError(filename=None):  # files that are opened have a name
            sentences, code = f"Standard output can't be written: {cause.strerror}.", FAILED
        case OSError():
            sentences, code = f"{cause.filename}: {cause.strerror}.", FAILED
        case _:
            raise ended
    if isinstance(cause, OSError) and cause.filename is None:  # Python would complain once more about what is unwritten
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for sentence in sentences.splitlines():
        print(f"{program}: {sentence}", file=sys.stderr)
    return code
