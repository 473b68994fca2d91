"""The agent under a storm, and what the kit's kubectl prints for it: WHAT is KIND-NUMBER-ID."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.kit.agent import AgentProcess

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
    """One whose runs are compared with what it answers."""

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
        said = "no such pod\n" if kind == "fail" else ""
        output, error = (re.split(r"(?:^|\n)\[Cut: ", text, maxsplit=1)[0] for text in (output, error))
        if "command_id" in result:  # the stream's flat form: each tells all in words
            output = "" if output == said else output.removesuffix(f"\n{said}") if said else output
            error = error.removesuffix(f"\n{output}") if output else error
        if result["success"] or result["exit_code"] == 3:
            as_told = error == said and result["success"] is (kind != "fail")
            return as_told and right(output, result.get("truncated", False))
        return any(words in error for words in ENDED_EARLY)

    return check
