"""Command lines with what the guard is to say of them, one a line in three files, and a way to break the tables."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from agent.guard import DEFAULT_POLICY, Policy, Refused, decide, parse_policy
from agent.guard.tables import VERBS, Verb

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One command line."""

    args: list[str]
    allowed: bool
    why: str
    policy: Policy = DEFAULT_POLICY

    @property
    def is_decided_right(self) -> bool:
        """Whether the guard agrees; the line it writes must also mean itself."""
        found = plan_or_none(self.args, self.policy)
        if found is None:
            return not self.allowed
        return self.allowed and plan_or_none(list(found), self.policy) == found


def plan_or_none(args: object, policy: Policy = DEFAULT_POLICY) -> tuple[str, ...] | None:
    """The line that would run, or None."""
    try:
        return decide(args, policy)
    except Refused:
        return None


def read(name: str) -> list[Case]:
    """The cases of one file."""
    rows = (json.loads(line) for line in (HERE / name).read_text().splitlines())
    return [
        Case(row["args"], row["expect"] == "allow", row["why"], parse_policy(row.get("policy", ""))) for row in rows
    ]


EVERY_CASE = read("corpus.jsonl") + read("corpus-2.jsonl") + read("more.jsonl")
CASES = [case for case in EVERY_CASE if case.policy == DEFAULT_POLICY]
KUBECTL_FLAGS: dict[str, dict[str, tuple[str, str, list[str]]]] = json.loads((HERE / "kubectl_flags.json").read_text())
"""Every flag that kubectl 1.27, 1.29, 1.32 and 1.37 have: by verb and name, the short name, the type, the versions."""


@contextmanager
def verb_replaced(name: str, verb: Verb | None) -> Iterator[None]:
    """The tables with another verb of this name, or without it."""
    others = {each: old for each, old in VERBS.items() if each != name}
    with patch.dict(VERBS, others | ({name: verb} if verb else {}), clear=True):
        yield
