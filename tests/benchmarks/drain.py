"""A backlog of results of 2 KB on its way out, beside a bare loop of httpx that posts as many, alternating."""

import json
import os
import subprocess
from pathlib import Path

import trio

from tests.benchmarks.agent import PYTHON, QUICK, Agent, running, stand_in
from tests.benchmarks.api import CLUSTER_ID, TOKEN, bench_api
from tests.benchmarks.figures import Report, figure, median
from tests.benchmarks.seed import OUTPUT, fill

COUNT = 1500
ROUNDS = 3
SENDERS = 4

BARE = """
import sys, trio, httpx
url, count, senders, token, cluster = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
body = sys.stdin.buffer.read()
async def send(client, count):
    for _ in range(count):
        (await client.post(url + "/agent/results", content=body)).raise_for_status()
async def main():
    headers = {"Authorization": "Bearer " + token, "X-Cluster-ID": cluster, "Content-Type": "application/json"}
    async with httpx.AsyncClient(headers=headers) as client, trio.open_nursery() as nursery:
        for _ in range(senders):
            nursery.start_soon(send, client, count // senders)
trio.run(main)
"""


async def measure(report: Report, folder: Path, _: Path) -> None:
    """Results a second."""
    own, bare, cpu, sent = [], [], [], 0.0
    for number in range(ROUNDS):
        place = folder / f"drain-{number}"
        place.mkdir()
        await fill(place / "spool.db", pending=COUNT)
        async with bench_api() as api:
            agent = Agent(api, place, kubectl=stand_in(place, QUICK), LOG_LEVEL="INFO")
            async with running(agent):
                await api.until_results(1)
                before = agent.watched.cpu_seconds()
                await api.until_results(COUNT)
                cpu.append((agent.watched.cpu_seconds() - before) * 1000 / COUNT)
            own.append((COUNT - 1) / (api.last_result_at - api.first_result_at))
            posts = [each.sent_bytes for each in api.exchanges if each.path == "/agent/results"]
            sent = median(posts) - len(OUTPUT)
        bare.append(await bare_rate())
    report.add(
        figure(
            "backlog drain, results of 2 KB",
            "results/s",
            own,
            budget=500,
            at_least=True,
            bare=median(bare),
            bare_is=f"{SENDERS} loops of httpx, nothing written down",
        ),
        figure("drain: agent's own processor time a result", "ms", cpu),
        figure("bytes of a result beyond its output, with headers", "bytes", [sent]),
    )


async def bare_rate() -> float:
    """The same bodies from a loop that does nothing else."""
    result = {"success": True, "output": OUTPUT, "error": None, "exit_code": 0, "execution_time_ms": 50}
    body = json.dumps({"command_id": "00000000-seed-4f6b-9c3e-000000000000", "result": result}).encode()
    async with bench_api() as api:
        await trio.run_process(
            [PYTHON, "-c", BARE, api.url, str(COUNT), str(SENDERS), TOKEN, CLUSTER_ID],
            stdin=body,
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.DEVNULL,
        )
        return (api.results - 1) / (api.last_result_at - api.first_result_at)
