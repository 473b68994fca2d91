"""The agent as its own process, with a kubectl whose every start is recorded and whose output tells runs apart.

After the guard's `--` the stand-in finds `pods WHAT`, where WHAT is KIND-NUMBER-ID:

    say    prints one line
    nap    prints one line, sleeps NUMBER seconds, prints another
    pour   prints one line and NUMBER bytes
    fail   prints a line to each stream and exits with 3

The lines hold WHAT and the number of the process, so two runs of one command never print the same.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import trio

from tests.chaos.api import FaultApi
from tests.whole.agents import AgentProcess

KUBECTL = r"""#!/bin/sh
config='{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"current-context":"c"}'
for arg; do
  case "$arg" in
    config) echo "$config"; exit 0;;
    version) echo '{"clientVersion":{"gitVersion":"v1.37.1"}}'; exit 0;;
  esac
  what=$arg
done
echo "$what" >> RUNS
rest=${what#*-}
number=${rest%%-*}
echo "$what $$"
case "$what" in
  nap-*) /bin/sleep "$number"; echo "ended";;
  pour-*) /usr/bin/head -c "$number" /dev/zero | /usr/bin/tr '\0' x;;
  fail-*) echo "no such pod" >&2; exit 3;;
esac
"""

ENDED_EARLY = (
    "died 2 times",
    "was stopped while this ran",
    "was stopped before this was started",
    "too late to run it again",
    "has no room for more commands",
    "command's time limit",
    "ended by SIGXFSZ",
)
"""What the agent may say instead of a command's own output when it is killed, stopped or has no room."""


class ChaosAgent(AgentProcess):
    """An agent over `folder`, which may be a small disk; what belongs to the test is in `aside`."""

    def __init__(self, api: FaultApi, folder: Path, aside: Path, **environ: str) -> None:
        super().__init__(api.url, api.token, api.cluster_id, folder, **environ)
        self.noted = aside / "runs"
        self.noted.touch()
        self.log = aside / "agent.log"
        self.log.touch()
        kubectl = aside / "kubectl"
        kubectl.write_text(KUBECTL.replace("RUNS", str(self.noted)))
        kubectl.chmod(0o755)
        (aside / "kubeconfig").touch()
        self.environ |= {"KUBENTLY_KUBECTL": str(kubectl), "KUBENTLY_KUBECONFIG": str(aside / "kubeconfig")}

    async def start(self) -> None:
        """Start it over the spool as it is."""
        self._began = self.log.stat().st_size
        await super().start()

    async def until_up(self) -> None:
        """Until its tasks run."""
        while b'"probes are served"' not in self.log.read_bytes()[self._began :]:
            await trio.sleep(0.05)

    def mark(self) -> int:
        """How much the stand-in has recorded."""
        return self.noted.stat().st_size

    def starts(self) -> Iterator[tuple[int, str]]:
        """Each start: where it is in the record, and the command's id."""
        at = 0
        for line in self.noted.read_text().splitlines(keepends=True):
            yield at, line.strip().split("-", 2)[2]
            at += len(line)

    def accepted(self) -> list[str]:
        """Ids in the order in which the agent has said to have accepted them."""
        return [str(line["command_id"]) for line in self.events("command accepted")]


def prints(what: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a result is what the stand-in prints for `what`, or says why it isn't."""
    kind, number, _ = what.split("-", 2)
    more = {"say": "", "fail": "", "nap": "ended\n", "pour": "x" * (int(number) if kind == "pour" else 0)}[kind]

    def right(output: str, truncated: bool) -> bool:
        line = re.match(re.escape(what) + r" \d+\n", output)
        if line is None:
            return truncated and f"{what} ".startswith(output[: len(what) + 1])
        rest = output[line.end() :]
        return more.startswith(rest) if truncated else rest == more

    def check(result: dict[str, Any]) -> bool:
        output, error = result.get("output") or "", result.get("error") or ""
        if "command_id" in result and error:  # the stream's flat form tells the error in both
            output = "" if output == error else output.removesuffix(f"\n{error}")
        if result["success"] or result["exit_code"] == 3:
            as_told = error == ("no such pod\n" if kind == "fail" else "") and result["success"] is (kind != "fail")
            return as_told and right(output, result.get("truncated", False))
        return any(words in error for words in ENDED_EARLY)

    return check
