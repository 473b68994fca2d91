"""A search in the logs of 20 containers, beside `xargs -P 4 kubectl logs … | grep` over the same ones, in turn."""

import shlex
import subprocess
import time
from pathlib import Path

import trio

from tests.benchmarks.agent import Measured, measured
from tests.benchmarks.cluster import KUBECTL, cluster_process
from tests.benchmarks.figures import Report, figure, median

PODS, LINES, PROCESSES = 20, 2000, 4
ROUNDS = 9
REQUEST = {"namespace": "shop", "selector": "app=chatty", "query": "ERROR", "tail_lines": LINES}


async def measure(report: Report, folder: Path, _kubeconfig: Path) -> None:
    """The agent also asks which pods there are, and takes credentials out; xargs is told the pods."""
    own = folder / "log-search"
    (own / "objects").mkdir(parents=True)
    (own / "objects" / "chatty.yaml").write_text(_chatty())
    async with (
        cluster_process(own, own / "objects") as kubeconfig,
        measured(own / "agent", kubectl=KUBECTL, kubeconfig=kubeconfig, KUBENTLY_EXECUTORS=str(PROCESSES)) as agent,
    ):
        await _search(agent)
        await _grep(agent)
        pairs = [(await _search(agent), await _grep(agent)) for _ in range(ROUNDS)]
    seconds = [median(list(each)) for each in zip(*pairs, strict=True)]
    report.add(
        figure(
            f"log search, {PODS} containers of {LINES} lines, time, ratio to xargs",
            "",
            [found / bare for found, bare in pairs],
            budget=1.2,
            note=f"{seconds[0]:.2f} s; xargs -P {PROCESSES} kubectl logs | grep: {seconds[1]:.2f} s",
        )
    )


async def _search(agent: Measured) -> float:
    """Seconds from the moment when the command leaves the API until its result is there."""
    await agent.api.parked()
    known = agent.api.queue([], tool="log_search", request=REQUEST, timeout=60)
    await known.answered.wait()
    ended = agent.events("command finished")[-1]
    assert ended["outcome"] == "succeeded", ended
    assert ended["output_bytes"] > 40 * PODS, "a match in each"
    return known.arrived_at - known.left_at


async def _grep(agent: Measured) -> float:
    line, environ = agent.bare(["logs", "{}", "-n", "shop", "-c", "app", f"--tail={LINES}"])
    script = f"/usr/bin/xargs -P {PROCESSES} -I{{}} {shlex.join(line)} | /bin/grep -i ERROR"
    pods = "".join(f"chatty-{n}\n" for n in range(PODS))
    began = time.perf_counter()
    ended = await trio.run_process(
        ["/bin/sh", "-c", script], stdin=pods.encode(), env=environ, stdout=subprocess.DEVNULL
    )
    took = time.perf_counter() - began
    assert ended.returncode == 0
    return took


def _chatty() -> str:
    """Pods that log a lot, each with one ERROR in it."""
    at = "2026-11-28T11:00:00.000000000Z"
    lines = [f"{at} INFO request {n} of customer {n * 7919 % 5000} was served in {n % 90} ms" for n in range(LINES)]
    lines[LINES // 2] = f"{at} ERROR order 4711 failed: no answer from checkout"
    text = "".join(f"    {line}\n" for line in lines)
    items = "".join(
        f"- {{apiVersion: v1, kind: Pod, metadata: {{name: chatty-{n}, namespace: shop, labels: {{app: chatty}}, "
        'creationTimestamp: "2026-11-25T07:00:00Z"}, spec: {containers: [{name: app, image: chatty}]}, '
        "status: {phase: Running, containerStatuses: [{name: app, state: {running: {}}}]}}\n"
        f"- kind: Log\n  metadata: {{name: chatty-{n}, namespace: shop}}\n  container: app\n  current: "
        + (f"&log |\n{text}" if n == 0 else "*log\n")
        for n in range(PODS)
    )
    return f"recorded: 2026-11-28T12:00:00Z\nitems:\n{items}"
