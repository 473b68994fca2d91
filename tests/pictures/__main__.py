"""`python -m tests.pictures`: everything in docs/pictures anew."""

import os
import sys
from io import StringIO
from pathlib import Path

import matplotlib as mpl
import trio

from tests.pictures import animation, dashboard
from tests.pictures.incident import watched
from tests.pictures.prometheus import PROGRAM
from tests.pictures.recording import record

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SEED = "7"


def demo() -> str:
    command = [sys.executable, "-m", "demo", "--seed", SEED]
    recording, code = record(
        command, {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    )
    if code != 0:
        sys.exit(f"the demo ended with exit code {code}: no picture")
    return animation.animated(recording, "make demo")


def grafana_dashboard() -> str | None:
    if PROGRAM is None:
        print("The dashboard isn't drawn: its queries need a Prometheus (Debian: apt-get install prometheus).")
        return None
    picture = StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        dashboard.drawn(trio.run(watched)).savefig(picture, format="svg", metadata={"Date": None})
    return picture.getvalue()


MADE = {"demo": demo, "dashboard": grafana_dashboard}


def main() -> None:
    for name, make in MADE.items():
        if (not sys.argv[1:] or name in sys.argv[1:]) and (picture := make()) is not None:
            (PICTURES / f"{name}.svg").write_text(picture)


if __name__ == "__main__":
    main()
