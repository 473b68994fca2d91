"""The answer of a search, as text for a reader who can't scroll: what was found, and what wasn't looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.log_search.matcher import LINE_CHARS, MATCHES_PER_CONTAINER, SEARCHED_CHARS, Reader
from agent.log_search.request import LogSearch

MOST_PODS = 20
MOST_SHOWN = 200
MOST_CHARS = 20_000
_CLOSING_CHARS = 4000  # kept for what isn't in a section: the lists below have 800 each, all else is shorter
_LIST_CHARS = 800

TIME_UP = "the time was up before all of it was read"


@dataclass(slots=True)
class Log:
    """One container's log: what was found in it, and why it wasn't read, or not whole."""

    pod: str
    container: str
    found: Reader
    error: str | None = None

    def __str__(self) -> str:
        """As in "web-0/app"."""
        return f"{self.pod}/{self.container}"


def report(search: LogSearch, logs: Sequence[Log], pods: int, seconds: float) -> str:
    """The whole answer; `pods` is how many there are, `seconds` the time that there was."""
    if not logs:
        return (
            f"No containers found: there are no {search.where}. Nothing was searched.\n"
            f"Look with: get pods -n {search.namespace} --show-labels\n"
        )
    sections, shown = _sections(logs)
    matches = sum(log.found.matches for log in logs)
    case = "" if search.case_sensitive else ", in any case"
    what = f"the regular expression {search.query!r}" if search.use_regex else repr(search.query)
    searched = sum(log.error is None for log in logs)
    lines = [
        f"{searched} of {len(logs)} containers searched ({search.where}) for {what}{case}, in {search.window}: "
        f"{_counted(matches, 'line')} {'matches' if matches == 1 else 'match'}, {shown} shown.",
        *sections,
    ]
    without = [log for log in logs if not log.found.matches and log.error is None]
    if without:
        lines.append(f"No match in {_listed(without, ', ')}.")
    failed = [f"{log}: {log.error}" for log in logs if log.error is not None]
    if failed:
        lines += ["Not searched whole:", _listed([f"  {each}" for each in failed], "\n")]
    caps = _caps(logs, pods, seconds, shown)
    if caps:
        lines.append(f"Limits that were met: {'; '.join(caps)}. Narrow the query, the selector or the window.")
    if not matches:
        lines.append(
            "Nothing matched. Try a shorter word, use_regex for several (error|fail), another window (since, "
            "tail_lines up to 10000), or previous=true for a container that restarted."
        )
    return "\n".join(lines) + "\n"


def _sections(logs: Sequence[Log]) -> tuple[list[str], int]:
    """A section for each log that has matches, within the bounds; and how many matches they show."""
    lines: list[str] = []
    shown, room = 0, MOST_CHARS - _CLOSING_CHARS
    for log in logs:
        head = f"\n== {log}: {log.found.matches} of {_counted(log.found.lines, 'line')} ==="
        for line in log.found.shown:
            text = f"{line.number:>6}{'>' if line.matches else ' '} {line.text}" if line else "   ..."
            room -= len(head) + len(text) + 2
            is_match = line is not None and line.matches
            if room < 0 or (is_match and shown == MOST_SHOWN):
                return [*lines, ""], shown
            lines += [head, text] if head else [text]
            shown += is_match
            head = ""
    return [*lines, ""] if lines else [], shown


def _caps(logs: Sequence[Log], pods: int, seconds: float, shown: int) -> list[str]:
    """Every limit that left something out, in words."""
    caps = []
    if pods > MOST_PODS:
        caps.append(f"only the first {MOST_PODS} of {pods} pods were searched")
    if any(log.error == TIME_UP for log in logs):
        caps.append(f"the search ended after {seconds:g} s")
    many = [log for log in logs if log.found.matches > MATCHES_PER_CONTAINER]
    if many:
        caps.append(f"only the first {MATCHES_PER_CONTAINER} matches of a container are shown ({_listed(many, ', ')})")
    kept = sum(min(log.found.matches, MATCHES_PER_CONTAINER) for log in logs)
    if shown < kept:
        why = f"{MOST_SHOWN} matches" if shown == MOST_SHOWN else f"{MOST_CHARS} characters"
        caps.append(f"an answer has at most {why}: {kept - shown} more aren't shown")
    if any(line and line.text.endswith("…") for log in logs for line in log.found.shown):
        caps.append(f"lines are cut after {LINE_CHARS} characters")
    if any(log.found.overlong for log in logs):
        caps.append(f"of a line only the first {SEARCHED_CHARS} characters are searched")
    return caps


def _listed(what: Sequence[object], between: str) -> str:
    """As many as there is room for, and how many more there are."""
    names: list[str] = []
    room = _LIST_CHARS
    for name in map(str, what):
        room -= len(name) + len(between)
        if room < 0:
            break
        names.append(name)
    more = len(what) - len(names)
    return between.join([*names, f"and {more} more"] if more else names)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
