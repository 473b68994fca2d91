"""`make chaos`: the real agent, killed, stopped, filled up and lied to, for as long as asked.

    python -m tests.chaos.run --seed 7 --minutes 10 --link stream    # without --link first poll, then stream

What is done and in which order comes from the seed; how far the agent is at that moment comes from the machine. The
last line of each storm is the verdict, and the exit code is 1 unless it says 0 lost, 0 doubled, 0 differing.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import trio

from demo.record import LinkName
from tests.chaos.disk import MEBIBYTE, small_disk
from tests.chaos.record import Verdict
from tests.chaos.standin import ChaosAgent
from tests.chaos.storm import Storm
from tests.kit.api import fake_api

LINKS: tuple[LinkName, ...] = ("poll", "stream")
DISK_BYTES = 40 * MEBIBYTE


async def storm(
    seed: int,
    seconds: float,
    folder: Path,
    *,
    link: LinkName,
    pace: float = 1.0,
    say: Callable[[str], None] = print,
) -> Verdict:
    """Run one storm and say what came of it."""
    say(f"seed {seed}, {seconds:g} s, {link}")
    spool = folder / "spool"
    with small_disk(spool, DISK_BYTES) as disk:
        async with fake_api([link], again_seconds=3.0) as api:
            api.max_body_bytes = 150_000
            agent = ChaosAgent(
                api,
                spool,
                aside=folder,
                KUBENTLY_SPOOL_MAX_BYTES="16Mi",
                # On a stream room decides what runs at all: with room for outputs of 1 MiB, half is answered busy.
                KUBENTLY_MAX_OUTPUT_BYTES="1Mi" if link == "poll" else "320Ki",
                KUBENTLY_DRAIN_SECONDS="3",
                KUBENTLY_LINK=link,
                LOG_LEVEL="INFO",
            )
            api.mark = agent.mark
            raging = Storm(api, agent, disk, seed, pace)
            try:
                await raging.blow(seconds)
                await raging.settle()
                verdict = raging.verdict()
            finally:
                if agent.runs_now:
                    agent.process.kill()
        if not verdict.well:
            keep_spool(spool, folder / "spool-at-the-end")
    for name, found in (("lost", verdict.lost), ("doubled", verdict.doubled), ("differing", verdict.differing)):
        for command_id, why in list(found.items())[:10]:
            say(f"{name}: {command_id}: {why}")
    for surprise in api.surprises[:5]:
        say(f"a result that nobody asked for: {surprise}")
    exits = f", by itself it ended with {raging.exits}" if raging.exits else ""
    for line in sorted({str(line.get("reason")) for line in agent.events("stopping, a task failed")}):
        say(f"it ended by itself: {line}")
    died = sum("died 2 times" in (k.results[0].get("error") or "") for k in api.known if k.results)
    busy = sum("no room for more" in (k.results[0].get("error") or "") for k in api.known if k.results)
    rejected = sum(k.rejected for k in api.known)
    answered = f"{rejected} results rejected; {died} given up, {busy} answered busy"
    say(f"{raging.stops} of the faults stopped the agent{exits}; {answered}")
    say(verdict.line(len(api.known), raging.kills, raging.faults))
    return verdict


def keep_spool(spool: Path, to: Path) -> None:
    """A copy of the spool for whoever looks into what went wrong."""
    to.mkdir()
    for file in spool.glob("spool.db*"):
        if file.is_file() and file.suffix != ".ballast":
            shutil.copy(file, to)


async def _main(options: argparse.Namespace) -> int:
    failed = False
    for link in [options.link] if options.link else LINKS:
        folder = Path(tempfile.mkdtemp(prefix=f"kubently-chaos-{link}-"))
        verdict = await storm(options.seed, options.minutes * 60, folder, link=link, pace=options.pace)
        if verdict.well:
            shutil.rmtree(folder)
        else:
            print(f"What is left of it is in {folder}", file=sys.stderr)
            failed = True
    return int(failed)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--link", choices=LINKS, help="one of them alone; by default each for so many minutes")
    parser.add_argument("--pace", type=float, default=1.0, help="divides all pauses")
    return trio.run(_main, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
