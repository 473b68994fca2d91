"""The table at the end. It is made from three records that know nothing of each other: the API's, the cluster's, and
the agent's spool.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from demo.cluster.api import SampleCluster
from demo.record import Asked, Record
from demo.story.ledger import Entry
from demo.story.questions import tail_of


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what was counted, how many, who says so, and how many there should be."""

    what: str
    count: int
    source: str
    wanted: int | None = None
    """None: any number is right."""

    @property
    def right(self) -> bool | None:
        """Whether it is as it should be; None where there is nothing to judge."""
        return None if self.wanted is None else self.count == self.wanted


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the proof is made from."""

    record: Record
    ledger: Mapping[str, Entry]
    interrupted: Collection[str]
    """Commands that were running when the agent was killed: they have no result from before, so they run again."""
    cluster: SampleCluster | None


def findings(evidence: Evidence) -> list[Finding]:
    """The rows of the table."""
    record, ledger = evidence.record, evidence.ledger
    handed_out = record.handed_out
    answered = [asked for asked in handed_out if asked.distinct == 1]
    lost = [asked for asked in handed_out if not asked.answers]
    again = [asked for asked in handed_out if len(asked.handed_out) > 1]
    resent = [asked for asked in answered if len(asked.answers) > 1]
    rerun = [asked for asked in handed_out if _runs(asked, ledger) > 1]
    twice = [asked for asked in rerun if asked.id not in evidence.interrupted or _runs(asked, ledger) > 2]
    rows = [
        Finding("commands handed out", len(handed_out), "API"),
        Finding("  of these handed out a second time", len(again), "API"),
        Finding("answered, with exactly one result", len(answered), "API", wanted=len(handed_out)),
        Finding("  of these sent again, word for word", len(resent), "API"),
        Finding("answered twice, and differently", len(record.contradicted), "API", wanted=0),
        Finding("lost", len(lost), "API", wanted=0),
        Finding("killed while they ran, and run again", len(rerun) - len(twice), "spool"),
        Finding("run again although they had a result", len(twice), "spool", wanted=0),
    ]
    return rows + (_from_cluster(evidence, evidence.cluster) if evidence.cluster else [])


def _runs(asked: Asked, ledger: Mapping[str, Entry]) -> int:
    return ledger[asked.id].runs if asked.id in ledger else 0


def _from_cluster(evidence: Evidence, cluster: SampleCluster) -> list[Finding]:
    reads = Counter(call.query.get("tailLines") for call in cluster.calls if call.path.endswith("/log"))
    burst = {asked.id: tail for asked in evidence.record.handed_out if (tail := tail_of(asked.command["args"]))}
    served = sum(reads[tail] for tail in burst.values())
    surplus = [
        command_id for command_id, tail in burst.items() if reads[tail] > 1 + (command_id in evidence.interrupted)
    ]
    return [
        Finding(f"log reads served, for {len(burst)} commands", served, "cluster"),
        Finding("  beyond one each, and two where killed", len(surplus), "cluster", wanted=0),
        Finding("requests that would change something", len(cluster.writes), "cluster", wanted=0),
    ]
