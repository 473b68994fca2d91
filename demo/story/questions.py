"""What is asked, and which part of each answer is worth showing."""

import random
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NAMESPACE = "shop"


@dataclass(frozen=True, slots=True)
class Question:
    """A kubectl command or a search in logs, and what of its answer tells the story."""

    args: tuple[str, ...] = ()
    search: Mapping[str, object] | None = None
    show: str = r".*"
    """A pattern; of each line that it matches, what it matches is shown."""
    most: int = 6

    @property
    def words(self) -> str:
        """As a person says it."""
        if self.search:
            return f"search logs of {self.search['selector']} in {self.search['namespace']} for {self.search['query']}"
        return f"kubectl {shlex.join(self.args)}"

    def excerpt(self, output: str) -> list[str]:
        """What to show."""
        return re.findall(self.show, output, re.MULTILINE)[: self.most]


PODS = Question(("get", "pods", "-n", NAMESPACE), show=r"^checkout\S+ +0/1 .*?(?=  +\w+$)")
LOST_ORDERS = Question(search={"namespace": NAMESPACE, "selector": "app=web", "query": "ERROR"}, show=r"ERROR .*")
PASSWORD = Question(("get", "deploy", "payments", "-n", NAMESPACE, "-o", "yaml"), show=r"name: DB_PASSWORD|value: <.*")
AFTERWARDS = Question(("get", "deploy", "checkout", "-n", NAMESPACE))
ANYWHERE = (
    Question(("get", "nodes"), most=4),
    Question(("get", "pods", "-A", "--field-selector=status.phase!=Running"), most=6),
    Question(("events", "-A", "--types=Warning"), most=4),
)
"""For a cluster of which nothing is known."""


def last_life_of(pod: str) -> Question:
    """Why it crashed."""
    return Question(("logs", pod, "-n", NAMESPACE, "--previous"), show=r"(?:ERROR|FATAL) .*")


def deletion_of(pod: str) -> Question:
    """What must not run, and doesn't."""
    return Question(("delete", "pod", pod, "-n", NAMESPACE))


def crash_looping_pod(output: str) -> str | None:
    """Its name, from the first look's output."""
    found = re.search(r"^(\S+) .*CrashLoopBackOff", output, re.MULTILINE)
    return found[1] if found else None


def running_pods(output: str) -> list[str]:
    """Pods whose logs can be read, from the first look's output."""
    return re.findall(r"^(\S+) +1/1 +Running", output, re.MULTILINE)


def burst(chance: random.Random, pods: Sequence[str], size: int) -> list[Question]:
    """Many log reads at once. Each has a `--tail` of its own, by which the cluster's record tells them apart."""
    tails = chance.sample(range(20, 400), size)
    return [Question(("logs", chance.choice(pods), "-n", NAMESPACE, f"--tail={tail}")) for tail in tails]


def burst_anywhere(size: int) -> list[Question]:
    """Many reads at once, in a cluster of which nothing is known."""
    return [Question(("describe", "nodes", "-l", f"demo!=question-{n}")) for n in range(size)]


def tail_of(args: Sequence[str]) -> str | None:
    """The `--tail` of a command."""
    return next((word.removeprefix("--tail=") for word in args if word.startswith("--tail=")), None)
