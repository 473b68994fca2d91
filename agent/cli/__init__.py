"""`kubently-agent`: the commands and their exit codes.

    0  done
    1  it didn't work, or the answer is no: not found, refused, not healthy
    2  a mistake in the configuration or in the command line

Mistakes get a sentence, never a traceback.
"""

import os
import sys
from collections.abc import Sequence

from agent.errors import AgentError, ConfigError

FAILED, MISTAKE = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        if arguments in ([], ["run"]):
            # The agent itself: without argparse and the other commands, which would stay in its memory for months.
            from agent.cli.run import run  # noqa: PLC0415

            return run()
        from agent.cli.parser import run_command  # noqa: PLC0415

        return _written_out(run_command(arguments))
    except AgentError as error:
        for line in str(error).splitlines():
            print(f"kubently-agent: {line}", file=sys.stderr)
        return MISTAKE if isinstance(error, ConfigError) else FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `kubently-agent spool list | head`
        _discard_output()
        return 0


def _written_out(code: int) -> int:
    """Write out what is still in memory: at Python's own end it is too late for a sentence about it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise AgentError(f"Standard output can't be written: {error.strerror}.") from error
    return code


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
