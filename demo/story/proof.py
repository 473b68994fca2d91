"""How things stand, and the table at the end. Neither is made from what the agent says of itself.

There are three records that know nothing of each other: the API's, the cluster's, and the spool.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from demo.cluster.api import SampleCluster
from demo.record import Record
from demo.story.ledger import Entry
from demo.story.questions import tail_of

_ON_ITS_WAY_SECONDS = 2.0
"""Between the API's answer and the agent's commit a command is on the wire. After that it should be in the spool."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How things stand."""

    results: int
    """Commands that have one, here or there."""
    spooled: int
    """Results that wait in the spool to be delivered."""
    delivered: int
    """Results that the API has."""
    running: int
    waiting: int
    """Accepted, but not begun."""
    lost: int
    """Handed out, and now neither in the spool nor answered."""

    @property
    def in_flight(self) -> int:
        """Accepted, and without a result."""
        return self.running + self.waiting

    def __str__(self) -> str:
        return f"{self.results} results · {self.spooled} wait on disk · {self.delivered} delivered · {self.lost} lost"


def count(record: Record, ledger: Mapping[str, Entry], now: float) -> Tally:
    """Count everything that was handed out up to now."""
    handed_out = {asked.id: asked.handed_out[-1].at for asked in record.handed_out}
    answered = {asked.id for asked in record.handed_out if asked.answers}
    ended = {command_id for command_id, entry in ledger.items() if not entry.unfinished}
    nowhere = handed_out.keys() - answered - ledger.keys()
    return Tally(
        results=len(answered | ended),
        spooled=len(ended - answered),
        delivered=len(answered),
        running=sum(entry.state == "running" for entry in ledger.values()),
        waiting=sum(entry.state == "accepted" for entry in ledger.values()),
        lost=sum(now - handed_out[command_id] > _ON_ITS_WAY_SECONDS for command_id in nowhere),
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: how many, what was counted and who says so, and how many there should be."""

    count: int
    what: str
    wanted: int

    @property
    def right(self) -> bool:
        """Whether it is as it should be."""
        return self.count == self.wanted


def findings(
    record: Record, ledger: Mapping[str, Entry], at_kill: Mapping[str, Entry], cluster: SampleCluster | None
) -> list[Finding]:
    """The rows of the table. `at_kill` is what the spool said when the agent had been killed."""
    killed = {command_id for command_id, entry in at_kill.items() if entry.state == "running"}
    # What the spool calls accepted may have been begun in the last moment: that isn't waited for.
    begun = {command_id for command_id, entry in at_kill.items() if entry.unfinished}
    asked = record.handed_out
    runs = {command_id: entry.runs for command_id, entry in ledger.items()}
    twice = {command_id for command_id, times in runs.items() if times > 1 + (command_id in killed)}
    who = "the spool"
    if cluster:
        reads = Counter(call.query.get("tailLines") for call in cluster.calls if call.path.endswith("/log"))
        tails = {one.id: tail for one in asked if (tail := tail_of(one.command.get("args", ())))}
        twice |= {command_id for command_id, tail in tails.items() if reads[tail] > 1 + (command_id in begun)}
        who = "the spool and the cluster"
    rows = [
        Finding(sum(one.distinct == 1 for one in asked), "answered, with one result each, says the API", len(asked)),
        Finding(sum(not one.answers for one in asked), "lost, says the API", 0),
        Finding(
            sum(runs.get(one) == 2 for one in killed), "run again, as the kill hit them amid their run", len(killed)
        ),
        Finding(
            len(twice), f"run again without need, say {who}" if cluster else f"run again without need, says {who}", 0
        ),
    ]
    if cluster:
        rows.append(Finding(len(cluster.writes), "requests that would change something, says the cluster", 0))
    return rows
