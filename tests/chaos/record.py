"""What a storm says of the agent in the end."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.kit.api import FakeApi


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
    api: FakeApi, *, rejected: Iterable[str], accepted: Iterable[str], runs: Iterable[tuple[int, str]]
) -> Verdict:
    """Compare what the API knows with what the agent did.

    Args:
        api: its side.
        rejected: ids that the agent's spool shows as rejected.
        accepted: ids in the order in which the agent has said to have accepted them.
        runs: each start of the stand-in: where in its record, and for which id.
    """
    lost: dict[str, str] = {}
    doubled: dict[str, str] = {}
    differing: dict[str, str] = {}
    visible = set(rejected)
    for known in api.known:
        if not known.results and not (known.rejected and known.id in visible):
            lost[known.id] = "no result, and not shown as rejected"
        if known.distinct > 1:
            differing[known.id] = f"{known.distinct} different results"
        for result in known.results:
            if known.expected is not None and not known.expected(result):
                differing[known.id] = f"not what it prints: {str(result)[:300]}"
    seen: set[str] = set()
    for command_id in accepted:
        if command_id in seen:  # handed out again, and the agent didn't know it any more
            lost[command_id] = "accepted, and forgotten"
        seen.add(command_id)
    seen_at = {known.id: known.runs_seen for known in api.known}
    for mark, command_id in runs:
        done = seen_at.get(command_id)
        if done is not None and mark >= done:
            doubled[command_id] = "run again with its result already at the API"
    return Verdict(lost, doubled, differing)
