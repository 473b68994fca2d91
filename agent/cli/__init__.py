"""`kubently-agent`: the commands and their exit codes.

    0  done
    1  it didn't work, or the answer is no: not found, refused, not healthy
    2  a mistake in the configuration or in the command line
    130  interrupted by Ctrl-C

Whatever ends a command, and whoever reads what it prints, a person gets sentences and never a traceback.
"""

import sys
from collections.abc import Callable, Sequence

from agent.cli.parser import run_command
from agent.cli.streams import discard_output, open_streams
from agent.errors import AgentError, ConfigError, leaves

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return in_sentences("kubently-agent", lambda: run_command(sys.argv[1:] if argv is None else argv))


def in_sentences(program: str, command: Callable[[], int]) -> int:
    """Run it; whatever ends it, `program` says it in sentences. Returns the exit code."""
    open_streams()
    try:
        try:
            return command()
        finally:
            sys.stdout.flush()  # at Python's own end it is too late for a sentence about it
    except SystemExit:  # argparse has said what is wrong, or has helped
        raise
    except BaseException as ended:
        return max(_told(program, ended, cause) for cause in leaves(ended))


def _told(program: str, ended: BaseException, cause: BaseException) -> int:
    """Say what has ended the command; returns the exit code."""
    match cause:
        case KeyboardInterrupt():
            sentences, code = "Interrupted.", INTERRUPTED
        case AgentError():
            sentences, code = str(cause), MISTAKE if isinstance(cause, ConfigError) else FAILED
        case BrokenPipeError():  # `kubently-agent spool list | head`
            discard_output()
            return DONE
        case OSError(filename=None):  # files that are opened have a name
            discard_output()
            sentences, code = f"Standard output can't be written: {cause.strerror}.", FAILED
        case OSError():
            sentences, code = f"{cause.filename}: {cause.strerror}.", FAILED
        case _:
            raise ended
    for sentence in sentences.splitlines():
        print(f"{program}: {sentence}", file=sys.stderr)
    return code
