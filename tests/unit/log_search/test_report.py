"""The answer as text: everything that was left out is said."""

import re
from dataclasses import replace

from agent.log_search.container import ContainerLog, Line
from agent.log_search.report import MOST_CHARS, TIME_UP, report
from agent.log_search.request import LogSearch

SEARCH = LogSearch("shop", "ERROR", "app=web")


def log(pod, matches=0, error=None, text="an ERROR here", shown=None):
    log = ContainerLog(f"{pod}/app", lambda line: False)
    log.lines, log.matches, log.error = 2000, matches, error
    log.shown = shown or [Line(n, True, text) for n in range(1, min(matches, 50) + 1)]
    return log


def told(*logs, pods=3, seconds=50.0):
    return report(SEARCH, logs, pods, seconds)


def test_the_first_line_says_how_much_was_searched_and_found():
    first, *rest = told(log("web-0", 2), log("web-1"), log("web-2", error="container is waiting")).splitlines()
    assert first.startswith("2 of 3 containers searched (pods with app=web in namespace shop) for 'ERROR', in any case")
    assert first.endswith("2 lines match, 2 shown.")
    assert "== web-0/app: 2 of 2000 lines ===" in rest
    assert "     1> an ERROR here" in rest
    assert "No match in web-1/app." in rest
    assert rest[-2:] == ["Not searched whole:", "  web-2/app: container is waiting"]
    assert not any("Limits" in line for line in rest)


def test_no_pods_is_an_answer():
    assert told(pods=0).startswith("No containers found: there are no pods with app=web in namespace shop.")


def test_nothing_found_comes_with_a_hint():
    assert "previous=true" in told(log("web-0"))


def test_every_limit_that_was_met_is_said():
    text = told(*(log(f"web-{n}", 60) for n in range(6)), pods=30)
    assert "only the first 20 of 30 pods were searched" in text
    assert "only the first 50 matches of a container are shown (web-0/app" in text
    assert "at most 200 matches: 100 more aren't shown" in text
    assert text.count("> an ERROR here") == 200
    assert text.splitlines()[0].endswith("360 lines match, 200 shown.")
    text = told(log("web-0", 50, text="x" * 500 + "…"))
    assert "lines are cut after 500 characters" in text
    assert "at most 20000 characters" in text
    late = told(log("web-0", 1), log("web-1", error=TIME_UP))
    assert "the search ended after 50 s" in late
    assert f"  web-1/app: {TIME_UP}" in late
    endless = log("web-0", 1)
    endless.overlong = True
    assert "of a line only the first 65536 characters are searched" in told(endless)


def test_however_much_there_is_to_tell_the_answer_is_bounded_and_its_end_is_whole():
    name = "a-deployment-with-a-long-name-as-such-names-go"
    logs = [log(f"{name}-{n}", 60, text="x" * 500 + "…", error="y" * 300 if n % 2 else None) for n in range(60)]
    quiet = [log(f"{name}-{n}") for n in range(60, 120)]
    text = told(*logs, *quiet, pods=500)
    assert len(text) <= MOST_CHARS
    assert text.endswith("Narrow the query, the selector or the window.\n")
    assert len(re.findall(r"and \d+ more\b", text)) == 3, "silent ones, failed ones and those with too many matches"
    assert "and 22 more" in text


def test_gaps_and_context_are_marked():
    shown = [Line(1, False, "before"), Line(2, True, "hit"), Line(8, True, "hit")]
    lines = report(replace(SEARCH, context_lines=1), [log("web-0", 2, shown=shown)], 1, 50.0).splitlines()
    assert lines[3:7] == ["     1  before", "     2> hit", "   ...", "     8> hit"]
