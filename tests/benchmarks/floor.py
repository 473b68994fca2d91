"""The floor: the same loop as the peer's in as few words of trio and httpx as there can be, for comparison.

It has no promise to keep: no spool, no guard, no limits. What it takes beyond the peer is the price of the libraries.

    python -m tests.benchmarks.floor      # with the environment of the agent
"""

import os
from typing import Any

import httpx
import trio


async def main() -> None:
    """For ever."""
    headers = {
        "Authorization": f"Bearer {os.environ['KUBENTLY_TOKEN']}",
        "X-Cluster-ID": os.environ["CLUSTER_ID"],
        "User-Agent": "kubently-agent/1.0",
    }
    url = os.environ["KUBENTLY_API_URL"]
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=25, trust_env=False) as client:
        await client.get("/agent/status")
        while True:
            answer = await client.get("/agent/commands", params={"wait": 20})
            for command in answer.json()["commands"] if answer.status_code == 200 else ():
                await client.post("/agent/results", json=await _execute(command))


async def _execute(command: dict[str, Any]) -> dict[str, Any]:
    line = [os.environ["KUBENTLY_KUBECTL"], f"--kubeconfig={os.environ['KUBENTLY_KUBECONFIG']}", *command["args"]]
    began = trio.current_time()
    done = await trio.run_process(line, capture_stdout=True, capture_stderr=True, check=False)
    result = {
        "success": done.returncode == 0,
        "output": done.stdout.decode(),
        "error": done.stderr.decode(),
        "exit_code": done.returncode,
        "execution_time_ms": round((trio.current_time() - began) * 1000),
    }
    return {"command_id": command["id"], "result": result}


if __name__ == "__main__":
    trio.run(main)
