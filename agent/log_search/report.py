"""The answer of a search, as text for a reader who can't scroll: what was found, and what wasn't looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.log_search.matcher import LINE_CHARS, MATCHES_PER_CONTAINER, Found
from agent.log_search.request import LogSearch

MOST_SHOWN = 200
MOST_CHARS = 20_000
_CLOSING_CHARS = 2000  # kept for what follows the sections


@dataclass(slots=True)
class Log:
    """One container's log, and what became of reading it."""

    pod: str
    container: str
    found: Found = field(default_factory=Found)
    error: str | None = None

    @property
    def name(self) -> str:
        """As in "web-0/app"."""
        return f"{self.pod}/{self.container}"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """All logs of a search; `pods` were found, and at most `most_pods` were searched."""

    logs: Sequence[Log]
    pods: int
    most_pods: int


def report(search: LogSearch, outcomes: Outcomes) -> str:
    """The whole answer."""
    logs = outcomes.logs
    if not logs:
        return (
            f"No containers found: there are no {search.where}. Nothing was searched.\n"
            "Look with `get pods -n NAMESPACE --show-labels`.\n"
        )
    sections, shown = _sections(logs)
    matches = sum(log.found.matches for log in logs)
    searched = sum(log.error is None for log in logs)
    case = "" if search.case_sensitive else ", in any case"
    what = f"the regular expression {search.query!r}" if search.use_regex else repr(search.query)
    lines = [
        f"{searched} of {len(logs)} containers searched ({search.where}) for {what}{case}, in {search.window}: "
        f"{_counted(matches, 'line')} {'matches' if matches == 1 else 'match'}, {shown} shown.",
        *sections,
    ]
    without = [log.name for log in logs if not log.found.matches and log.error is None]
    if without:
        lines.append(_clipped(f"No match in {', '.join(without)}."))
    lines += [_clipped(f"Not searched whole: {log.name}: {log.error}.") for log in logs if log.error is not None]
    lines += _caps(outcomes, matches, shown)
    if not matches:
        lines.append(
            "Nothing matched. Try a shorter word, another window (since, tail_lines up to 10000), or previous=true for "
            "a container that restarted."
        )
    return "\n".join(lines)[:MOST_CHARS] + "\n"


def _sections(logs: Sequence[Log]) -> tuple[list[str], int]:
    """A section for each log that has matches, within the bounds; and how many matches they show."""
    lines: list[str] = []
    shown, room = 0, MOST_CHARS - _CLOSING_CHARS
    for log in logs:
        if not log.found.matches or shown == MOST_SHOWN:
            continue
        head = f"\n== {log.name}: {log.found.matches} of {_counted(log.found.lines, 'line')} ==="
        section = [head]
        room -= len(head)
        for entry in log.found.shown:
            text = "   ..." if entry is None else f"{entry[0]:>6}{'>' if entry[1] else ' '} {entry[2]}"
            is_match = entry is not None and entry[1]
            if len(text) + 1 > room or (is_match and shown == MOST_SHOWN):
                room = 0
                break
            section.append(text)
            room -= len(text) + 1
            shown += is_match
        if len(section) > 1:
            lines += section
    return [*lines, ""] if lines else [], shown


def _caps(outcomes: Outcomes, matches: int, shown: int) -> list[str]:
    caps = []
    if outcomes.pods > outcomes.most_pods:
        caps.append(f"only the first {outcomes.most_pods} of {outcomes.pods} pods were searched")
    many = [log.name for log in outcomes.logs if log.found.matches > MATCHES_PER_CONTAINER]
    if many:
        caps.append(f"only the first {MATCHES_PER_CONTAINER} matches of a container are shown ({', '.join(many)})")
    within = sum(min(log.found.matches, MATCHES_PER_CONTAINER) for log in outcomes.logs)
    if shown < within:
        why = f"{MOST_SHOWN} matches" if shown == MOST_SHOWN else f"{MOST_CHARS} characters"
        caps.append(f"an answer has at most {why}: {matches - shown} matches aren't shown")
    if any(entry and entry[2].endswith("…") for log in outcomes.logs for entry in log.found.shown):
        caps.append(f"lines are cut after {LINE_CHARS} characters")
    return [_clipped(f"Limits that were met: {'; '.join(caps)}. Narrow the query, or name one pod.")] if caps else []


def _clipped(text: str, most: int = 600) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
