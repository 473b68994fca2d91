"""The sample cluster in a process of its own, so that what it computes doesn't disturb what is measured."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from demo.cluster.api import sample_cluster
from demo.cluster.store import OBJECTS

KUBECTL = Path(shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "kubectl")
GET_PODS = ("get", "pods", "-n", "shop")


@asynccontextmanager
async def cluster_process(folder: Path, objects: Path = OBJECTS) -> AsyncIterator[Path]:
    """A running cluster; its kubeconfig."""
    kubeconfig = folder / "kubeconfig"
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.benchmarks.cluster", str(kubeconfig), str(objects)], stdin=subprocess.DEVNULL
    )
    try:
        while not kubeconfig.exists():
            assert process.poll() is None, "the sample cluster didn't start"
            await trio.sleep(0.05)
        yield kubeconfig
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _serve(kubeconfig: Path, objects: Path) -> None:
    async with sample_cluster(objects=objects) as cluster:
        partial = kubeconfig.with_suffix(".partial")
        cluster.write_kubeconfig(partial)
        partial.rename(kubeconfig)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(_serve, Path(sys.argv[1]), Path(sys.argv[2]))
