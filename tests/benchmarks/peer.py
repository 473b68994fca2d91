"""The peer: the loop that the original specification asks for, written anew from its words, for comparison.

`requests`, one command at a time, nothing written down. It trusts what it is sent, and keeps all output in memory. What
this project's agent takes more is the price of its promises.

    python -m tests.benchmarks.peer      # with the environment of the agent
"""

import os
import subprocess
import time
from typing import Any

import requests

RETRIED = (502, 503, 504)
VERBS = {"get", "describe", "logs", "top", "api-resources", "api-versions", "explain", "events", "version"}
LONGEST_PAUSE_SECONDS = 60.0


class Peer:
    """One session of requests, which keeps its connection."""

    def __init__(self, url: str, cluster_id: str, token: str, kubectl: list[str]) -> None:
        self._url = url
        self._kubectl = kubectl
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(
            {"Authorization": f"Bearer {token}", "X-Cluster-ID": cluster_id, "User-Agent": "kubently-agent/1.0"}
        )
        self._wait = 20
        self._asked_status_at = 0.0

    def run(self) -> None:
        """For ever."""
        while True:
            self._look_for_a_session()
            answer = self._ask("GET", "/agent/commands", params={"wait": self._wait}, timeout=self._wait + 5)
            if answer.status_code == 200:
                for command in answer.json()["commands"]:
                    body = {"command_id": command["id"], "result": self._execute(command)}
                    self._ask("POST", "/agent/results", json=body, timeout=10)

    def _look_for_a_session(self) -> None:
        now = time.monotonic()
        if now - self._asked_status_at >= (10 if self._wait == 1 else 60):
            self._asked_status_at = now
            answer = self._ask("GET", "/agent/status", timeout=5)
            self._wait = 1 if answer.json()["is_active"] else 20

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        pause = 1.0
        while True:
            try:
                answer = self._session.request(method, self._url + path, **more)
                if answer.status_code not in RETRIED:
                    return answer
            except requests.RequestException:
                pass
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _execute(self, command: dict[str, Any]) -> dict[str, Any]:
        args = command["args"]
        if not args or args[0] not in VERBS or any(set(arg) & set(";|&$`<>") for arg in args):
            return {"success": False, "output": "", "error": "not allowed", "exit_code": 1, "execution_time_ms": 0}
        began = time.monotonic()
        done = subprocess.run(
            [*self._kubectl, *args], capture_output=True, text=True, timeout=command.get("timeout", 10), check=False
        )
        return {
            "success": done.returncode == 0,
            "output": done.stdout,
            "error": done.stderr,
            "exit_code": done.returncode,
            "execution_time_ms": round((time.monotonic() - began) * 1000),
        }


if __name__ == "__main__":
    kubeconfig = os.environ["KUBENTLY_KUBECONFIG"]
    Peer(
        os.environ["KUBENTLY_API_URL"],
        os.environ["CLUSTER_ID"],
        os.environ["KUBENTLY_TOKEN"],
        [os.environ["KUBENTLY_KUBECTL"], f"--kubeconfig={kubeconfig}"],
    ).run()
