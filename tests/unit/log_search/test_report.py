"""The answer as text: everything that was left out is said."""

from agent.log_search.matcher import Found
from agent.log_search.report import MOST_CHARS, Log, Outcomes, report
from agent.log_search.request import LogSearch

SEARCH = LogSearch("shop", "ERROR", "app=web")


def log(pod, matches=0, error=None, text="an ERROR here"):
    shown: list[tuple[int, bool, str] | None] = [(n, True, text) for n in range(1, min(matches, 50) + 1)]
    return Log(pod, "app", Found(2000, matches, shown), error)


def told(*logs, pods=3):
    return report(SEARCH, Outcomes(logs, pods, 20))


def test_the_first_line_says_how_much_was_searched_and_found():
    first, *rest = told(log("web-0", 2), log("web-1"), log("web-2", error="container is waiting")).splitlines()
    assert first.startswith("2 of 3 containers searched (pods with app=web in namespace shop) for 'ERROR', in any case")
    assert first.endswith("2 lines match, 2 shown.")
    assert "== web-0/app: 2 of 2000 lines ===" in rest
    assert "     1> an ERROR here" in rest
    assert "No match in web-1/app." in rest
    assert "Not searched whole: web-2/app: container is waiting." in rest
    assert not any("Limits" in line for line in rest)


def test_no_pods_is_an_answer():
    assert told(pods=0).startswith("No containers found: there are no pods with app=web in namespace shop.")


def test_nothing_found_comes_with_a_hint():
    assert "previous=true" in told(log("web-0"))


def test_every_limit_that_was_met_is_said():
    text = told(*(log(f"web-{n}", 60) for n in range(6)), pods=30)
    assert "only the first 20 of 30 pods were searched" in text
    assert "only the first 50 matches of a container are shown (web-0/app" in text
    assert "at most 200 matches: 160 matches aren't shown" in text
    assert text.count("> an ERROR here") == 200
    text = told(log("web-0", 50, text="x" * 500 + "…"))
    assert "lines are cut after 500 characters" in text
    assert "at most 20000 characters" in text
    assert len(text) <= MOST_CHARS + 1


def test_gaps_and_context_are_marked():
    web = Log("web-0", "app", Found(9, 2, [(1, False, "before"), (2, True, "hit"), None, (8, True, "hit")]))
    lines = told(web).splitlines()
    assert lines[3:7] == ["     1  before", "     2> hit", "   ...", "     8> hit"]
