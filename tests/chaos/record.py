"""What the chaos API knows of every command, and what it says of the agent in the end."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import trio


@dataclass
class Known:
    """One command that was put on its way."""

    id: str
    command: dict[str, Any]
    expected: Callable[[dict[str, Any]], bool] | None = None
    """Whether a result is what this command prints; None if anything will do."""
    handed_out: list[float] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    """As stored, in the order of arrival."""
    digests: set[bytes] = field(default_factory=set)
    stored: trio.Event = field(default_factory=trio.Event)
    rejected: bool = False
    """It was refused for good at least once."""
    runs_seen: int | None = None
    """A mark in the stand-in's own record at the moment when the first result was stored."""


class Record:
    """All commands by id. `mark` says how much the stand-in kubectl has recorded so far."""

    def __init__(self, mark: Callable[[], int] = lambda: 0) -> None:
        self.commands: dict[str, Known] = {}
        self.surprises: list[str] = []
        """Results that nobody asked for, and bodies that make no sense."""
        self.mark = mark

    def add(self, known: Known) -> None:
        """Remember a command that is put on its way."""
        self.commands[known.id] = known

    def store(self, command_id: object, result: object, raw: bytes) -> bool:
        """Take a result. False if there is nothing to take."""
        known = self.commands.get(command_id) if isinstance(command_id, str) else None
        if known is None or not isinstance(result, dict):
            self.surprises.append(repr(raw[:200]))
            return False
        if known.runs_seen is None:
            known.runs_seen = self.mark()
        known.results.append(result)
        known.digests.add(hashlib.blake2b(raw, digest_size=16).digest())
        known.stored.set()
        return True

    def reject(self, raw: bytes) -> None:
        """Note that the result in this body was refused for good."""
        known = self.commands.get(json.loads(raw)["command_id"])
        if known is not None:
            known.rejected = True

    @property
    def handed_out(self) -> list[Known]:
        """Those that left the API at least once, whether or not they arrived."""
        return [known for known in self.commands.values() if known.handed_out]

    @property
    def open(self) -> list[Known]:
        """Those that left the API and have no result yet."""
        return [known for known in self.handed_out if not known.results]


@dataclass(frozen=True)
class Verdict:
    """What is wrong, by command id."""

    lost: dict[str, str]
    doubled: dict[str, str]
    differing: dict[str, str]

    @property
    def well(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.differing)

    def line(self, commands: int, kills: int, faults: int) -> str:
        """The one line that counts."""
        return (
            f"{commands} commands, {kills} kills, {faults} faults: "
            f"{len(self.lost)} lost, {len(self.doubled)} doubled, {len(self.differing)} differing"
        )


def judge(
    record: Record, *, rejected: Iterable[str], accepted: Iterable[str], runs: Iterable[tuple[int, str]]
) -> Verdict:
    """Compare what the API knows with what the agent did.

    Args:
        record: the API's side.
        rejected: ids that the agent's spool shows as rejected.
        accepted: ids in the order in which the agent has said to have accepted them.
        runs: each start of the stand-in: where in its record, and for which id.
    """
    lost: dict[str, str] = {}
    doubled: dict[str, str] = {}
    differing: dict[str, str] = {}
    visible = set(rejected)
    for known in record.handed_out:
        if not known.results and not (known.rejected and known.id in visible):
            lost[known.id] = "no result, and not shown as rejected"
        if len(known.digests) > 1:
            differing[known.id] = f"{len(known.digests)} different results"
        for result in known.results:
            if known.expected is not None and not known.expected(result):
                differing[known.id] = f"not what it prints: {str(result)[:300]}"
    seen: set[str] = set()
    for command_id in accepted:
        if command_id in seen:  # handed out again, and the agent didn't know it any more
            lost[command_id] = "accepted, and forgotten"
        seen.add(command_id)
    for mark, command_id in runs:
        done = record.commands[command_id].runs_seen
        if done is not None and mark >= done:
            doubled[command_id] = "run again with its result already at the API"
    return Verdict(lost, doubled, differing)
