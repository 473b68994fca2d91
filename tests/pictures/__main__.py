"""`python -m tests.pictures`: everything in docs/pictures anew."""

import os
import sys
from pathlib import Path

from tests.pictures import animation, diagrams
from tests.pictures.recording import record

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SEED = "7"


def demo() -> str:
    command = [sys.executable, "-m", "agent", "demo", "--seed", SEED]
    recording, code = record(
        command, {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    )
    if code != 0:
        sys.exit(f"the demo ended with exit code {code}: no picture")
    return animation.animated(recording, "make demo")


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    for name, make in {"nursery": diagrams.nursery, "command": diagrams.command, "demo": demo}.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            (PICTURES / f"{name}.svg").write_text(make())


if __name__ == "__main__":
    main()
