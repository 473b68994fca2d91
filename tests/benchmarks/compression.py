"""What gzip makes of kubectl's output, and what it costs: whether it is worth it to compress results."""

import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

from agent.link.compress import compressed
from agent.model import PIECE_BYTES
from tests.benchmarks.cluster import KUBECTL
from tests.benchmarks.figures import Figure, Report, median
from tests.benchmarks.process import MEGABYTE

ROUNDS = 9
SAMPLES = (
    ("get", "pods", "-A", "-o", "json"),
    ("describe", "pods", "-A"),
    ("logs", "-n", "shop", "-l", "app=checkout", "--tail=-1", "--prefix"),
)
"""Whose output in the sample cluster is large enough to be compressed."""
LINK_MBIT = 10.0
"""A modest link, for a sense of what is saved."""


async def measure(report: Report, _folder: Path, kubeconfig: Path) -> None:
    """Bytes that are left, and the processor's time, of each sample."""
    for args in SAMPLES:
        line = [str(KUBECTL), f"--kubeconfig={kubeconfig}", *args]
        output = subprocess.run(line, capture_output=True, check=True).stdout
        times, size = [], 0
        for _ in range(ROUNDS):
            began = time.process_time()
            size = 0
            async for packed in compressed(_pieces(output)):
                size += len(packed)
            times.append((time.process_time() - began) * 1000)
        share = size / len(output)
        megabytes = len(output) / MEGABYTE
        report.add(
            Figure(
                f"gzip, {' '.join(args)}",
                "% left",
                share * 100,
                note=f"{median(times) / megabytes:.1f} ms of processor a MB; a MB at {LINK_MBIT:.0f} Mbit/s takes "
                f"{8000 / LINK_MBIT * share:.0f} ms instead of {8000 / LINK_MBIT:.0f}",
            )
        )


async def _pieces(output: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(output), PIECE_BYTES):
        yield output[begin : begin + PIECE_BYTES]
