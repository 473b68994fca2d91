"""The answer to a search, as text for a reader who can't scroll: what was found, and what wasn't searched."""

from collections.abc import Iterator, Sequence

from agent.log_search.container import LINE_CHARS, MATCHES_PER_CONTAINER, SEARCHED_CHARS, ContainerLog
from agent.log_search.request import LogSearch

MOST_PODS = 20
MOST_SHOWN = 200
MOST_CHARS = 20_000
MOST_LISTED = 8
_CLOSING_CHARS = 6000  # room for what isn't in a section: two lists of names, one of errors, and a few sentences

TIME_UP = "the time was up before all of it was read"


def report(search: LogSearch, logs: Sequence[ContainerLog], pods: int, seconds: float) -> str:
    """The whole answer; `pods` is how many there are, `seconds` the time that there was."""
    if not logs:
        return (
            f"No containers found: there are no {search.where}. Nothing was searched.\n"
            f"Look with: get pods -n {search.namespace} --show-labels\n"
        )
    sections, shown = _sections(logs, search.context_lines)
    searched, matches = sum(log.error is None for log in logs), sum(log.matches for log in logs)
    what = f"{'the regular expression ' if search.use_regex else ''}{search.query!r}"
    case = "" if search.case_sensitive else ", in any case"
    lines = [
        f"{searched} of {len(logs)} containers searched ({search.where}) for {what}{case}, in {search.window}: "
        f"{matches} {'line matches' if matches == 1 else 'lines match'}, {shown} shown.",
        *sections,
    ]
    if without := _listed([log.name for log in logs if not log.matches and log.error is None], ", "):
        lines.append(f"No match in {without}.")
    if failed := _listed([f"  {log.name}: {log.error}" for log in logs if log.error is not None], "\n"):
        lines += ["Not searched whole:", failed]
    if caps := "; ".join(_caps(logs, pods, seconds, shown)):
        lines.append(f"Limits that were met: {caps}. Narrow the query, the selector or the window.")
    if not matches:
        lines.append(
            "Nothing matched. Try a shorter word, use_regex for several (error|fail), another window (since, "
            "tail_lines up to 10000), or previous=true for a container that restarted."
        )
    return "\n".join(lines) + "\n"


def _sections(logs: Sequence[ContainerLog], context_lines: int) -> tuple[list[str], int]:
    """A section for each log that has matches, within the bounds; and how many matches they show."""
    lines: list[str] = []
    shown, room = 0, MOST_CHARS - _CLOSING_CHARS
    for log in logs:
        head, last = f"\n== {log.name}: {log.matches} of {log.lines} {'line' if log.lines == 1 else 'lines'} ===\n", 0
        for line in log.shown:
            gap = "   ...\n" if context_lines and 0 < last < line.number - 1 else ""
            text = f"{head}{gap}{line.number:>6}{'>' if line.matches else ' '} {line.text}"
            room -= len(text) + 2
            if room < 0 or (line.matches and shown == MOST_SHOWN):
                return [*lines, ""], shown
            lines.append(text)
            shown += line.matches
            head, last = "", line.number
    return [*lines, ""] if lines else [], shown


def _caps(logs: Sequence[ContainerLog], pods: int, seconds: float, shown: int) -> Iterator[str]:
    """Every limit that left something out, in words."""
    if pods > MOST_PODS:
        yield f"only the first {MOST_PODS} of {pods} pods were searched"
    if any(log.error == TIME_UP for log in logs):
        yield f"the search ended after {seconds:g} s"
    if many := _listed([log.name for log in logs if log.matches > MATCHES_PER_CONTAINER], ", "):
        yield f"only the first {MATCHES_PER_CONTAINER} matches of a container are shown ({many})"
    kept = sum(min(log.matches, MATCHES_PER_CONTAINER) for log in logs)
    if shown < kept:
        why = f"{MOST_SHOWN} matches" if shown == MOST_SHOWN else f"{MOST_CHARS} characters"
        yield f"an answer has at most {why}: {kept - shown} more aren't shown"
    if any(line.text.endswith("…") for log in logs for line in log.shown):
        yield f"lines are cut after {LINE_CHARS} characters"
    if any(log.overlong for log in logs):
        yield f"of a line only the first {SEARCHED_CHARS} characters are searched"


def _listed(names: Sequence[str], between: str) -> str:
    """The first of them, and how many more there are."""
    more = [f"and {len(names) - MOST_LISTED} more"] if len(names) > MOST_LISTED else []
    return between.join([*names[:MOST_LISTED], *more])
