"""What is asked, and which part of each answer is worth showing."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

_GAP = "⋮"


@dataclass(frozen=True, slots=True)
class Question:
    """One kubectl command, and the lines of its answer that tell the story."""

    args: tuple[str, ...]
    show: str | None = None
    """A pattern; only lines that it matches are shown. None shows all."""
    most: int = 12

    @property
    def words(self) -> str:
        """As a person types it."""
        return "kubectl " + " ".join(f"'{word}'" if " " in word else word for word in self.args)

    def excerpt(self, output: str) -> list[str]:
        """The lines to show, with a mark where others were left out."""
        rows: list[str] = []
        for row in output.splitlines():
            if self.show is None or re.search(self.show, row):
                rows.append(row.rstrip())
            elif not rows or rows[-1] != _GAP:
                rows.append(_GAP)
        while rows and rows[0] == _GAP:
            del rows[0]
        return rows if len(rows) <= self.most else [*rows[: self.most - 1], _GAP]


def pods_of_the_shop() -> Question:
    """The first look."""
    return Question(("get", "pods", "-n", "shop"), show=r"NAME|checkout")


def crash_looping_pod(output: str) -> str | None:
    """Its name, from the first look's output."""
    found = re.search(r"^(\S+) .*CrashLoopBackOff", output, re.MULTILINE)
    return found[1] if found else None


def running_pods(output: str) -> list[str]:
    """Pods whose logs can be read, from the first look's output."""
    return re.findall(r"^(\S+) +1/1 +Running", output, re.MULTILINE)


def about(pod: str) -> list[Question]:
    """What an engineer asks next."""
    return [
        Question(
            ("describe", "pod", pod, "-n", "shop"),
            show=r"^    (Image|.*State|Ready|Restart Count): |Reason: |Exit Code|Started: |Finished: |  ConfigMap ",
            most=14,
        ),
        Question(("logs", pod, "-n", "shop", "--previous", "--tail=4")),
        Question(
            (
                *("get", "events", "-n", "shop", "--field-selector", f"involvedObject.name={pod},type=Warning"),
                *("-o", "custom-columns=COUNT:.count,REASON:.reason,MESSAGE:.message"),
            )
        ),
        Question(("get", "configmap", "checkout-config", "-n", "shop", "-o", "yaml"), show=r"^data:|_URL:"),
    ]


def forbidden(pod: str) -> list[Question]:
    """What must not run, and doesn't."""
    return [
        Question(("delete", "pod", pod, "-n", "shop")),
        Question(("get", "secrets", "-A")),
        Question(("get", "pods", "--server=http://elsewhere.example.com")),
    ]


def in_a_cluster_of_yours() -> list[Question]:
    """For a kubeconfig that was given: nothing is known of what is there."""
    return [
        Question(("get", "nodes", "-o", "wide"), most=6),
        Question(("get", "pods", "-A"), most=8),
        Question(("events", "-A", "--types=Warning"), most=6),
    ]


def burst(chance: random.Random, pods: Sequence[str], size: int) -> list[Question]:
    """Many log reads at once. Each has a `--tail` of its own, by which the cluster's record tells them apart."""
    tails = chance.sample(range(20, 400), size)
    return [Question(("logs", chance.choice(pods), "-n", "shop", f"--tail={tail}")) for tail in tails]


def burst_anywhere(size: int) -> list[Question]:
    """Many reads at once, in a cluster of which nothing is known."""
    return [Question(("describe", "nodes", "-l", f"demo!=question-{n}")) for n in range(size)]


def tail_of(args: Sequence[str]) -> str | None:
    """The `--tail` of a command."""
    return next((word.removeprefix("--tail=") for word in args if word.startswith("--tail=")), None)
