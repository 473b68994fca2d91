"""A backlog of results of 2 KB on its way out, beside a bare loop of httpx that posts as many, in turn."""

import json
import os
import subprocess
from pathlib import Path

import trio

from agent.model import Command, Outcome, Result
from agent.spool import Limits, open_spool
from tests.benchmarks.agent import PYTHON, measured
from tests.benchmarks.figures import Report, figure, median
from tests.kit.api import FakeApi, fake_api

COUNT = 1500
ROUNDS = 3
SENDERS = 4
OUTPUT = ("NAME                        READY   STATUS    RESTARTS   AGE\n" * 40)[:2000]

BARE = """
import sys, trio, httpx
url, count, senders = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
body = sys.stdin.buffer.read()
async def send(client, count):
    for _ in range(count):
        (await client.post(url + "/agent/results", content=body)).raise_for_status()
async def main():
    async with httpx.AsyncClient(headers={"Content-Type": "application/json"}) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(senders):
                nursery.start_soon(send, client, count // senders)
trio.run(main)
"""


async def measure(report: Report, folder: Path, _: Path) -> None:
    """Results a second."""
    own, bare = [], []
    for number in range(ROUNDS):
        place = folder / f"drain-{number}"
        place.mkdir()
        await fill(place / "spool.db", COUNT)
        async with measured(place) as agent:
            own.append(await _rate(agent.api))
        bare.append(await _bare_rate())
    report.add(
        figure(
            "backlog drain, results of 2 KB",
            "results/s",
            own,
            budget=400,
            at_least=True,
            bare=median(bare),
            bare_is=f"{SENDERS} bare httpx loops without a spool",
        )
    )


async def fill(path: Path, count: int) -> None:
    """A spool with so many results to send, written by the agent's own code."""
    result = Result(Outcome.SUCCEEDED, exit_code=0, execution_time_ms=50, output_bytes=len(OUTPUT))
    async with open_spool(path, Limits(max_bytes=1 << 30, journal=count + 1)) as spool:
        for begin in range(0, count, 100):
            commands = [
                Command(f"{number:08d}-seed-4f6b-9c3e-000000000000", ("get", "pods"), 10.0)
                for number in range(begin, min(begin + 100, count))
            ]
            await spool.accept(commands)
            for _ in commands:
                claim = spool.claim()
                assert claim is not None
                await spool.finish(claim.command.id, result, [("stdout", OUTPUT)])


async def _rate(api: FakeApi) -> float:
    """Of the results that come, in the order in which they came."""
    while api.weighed < COUNT:  # an event for each result would cost more
        await trio.sleep(0.002)
    at = [each.whole_at for each in api.exchanges if each.path == "/agent/results"]
    return (COUNT - 1) / (at[-1] - at[0])


async def _bare_rate() -> float:
    """The same bodies from a loop that does nothing else."""
    result = {"success": True, "output": OUTPUT, "error": None, "exit_code": 0, "execution_time_ms": 50}
    body = json.dumps({"command_id": "00000000-seed-4f6b-9c3e-000000000000", "result": result}).encode()
    async with fake_api(["poll"], weighs=True) as api:
        await trio.run_process(
            [PYTHON, "-c", BARE, api.url, str(COUNT), str(SENDERS)],
            stdin=body,
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.DEVNULL,
        )
        return await _rate(api)
