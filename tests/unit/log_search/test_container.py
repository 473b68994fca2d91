"""One log, line by line: what matches, what stands around it, and what a hostile expression costs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.guard import Refused
from agent.log_search import LogSearch
from agent.log_search.container import LINE_CHARS, MATCHES_PER_CONTAINER, SEARCHED_CHARS, ContainerLog


def search(query, **fields):
    return LogSearch("shop", query, "app=web", **fields)


def read(text, query, *, cuts=(), **fields):
    reader = ContainerLog("web-0/app", search(query, **fields).matcher(), fields.get("context_lines", 0))
    begin = 0
    for end in [*sorted(cuts), len(text)]:
        reader.feed(text[begin:end])
        begin = max(begin, end)
    reader.end()
    return reader


LOG = "".join(f"line {n}\n" if n % 10 else f"Error in line {n}\n" for n in range(1, 41))


@pytest.mark.parametrize(
    ("query", "fields", "matches"),
    [
        ("error", {}, 4),
        ("error", {"case_sensitive": True}, 0),
        ("Error", {"case_sensitive": True}, 4),
        ("e.*line [12]0$", {"use_regex": True}, 2),
        ("e.*line [12]0$", {}, 0),
        ("^error", {"use_regex": True, "case_sensitive": True}, 0),
    ],
)
def test_what_matches(query, fields, matches):
    found = read(LOG, query, **fields)
    assert (found.lines, found.matches) == (40, matches)


def test_context_is_kept_in_order():
    found = read(LOG, "Error", context_lines=1)
    assert [line[:2] for line in found.shown[:4]] == [(9, False), (10, True), (11, False), (19, False)]


def test_matches_near_each_other_share_their_context():
    found = read("a\nx1\nb\nx2\nc\n", "x", context_lines=2)
    assert [line.text for line in found.shown] == ["a", "x1", "b", "x2", "c"]


def test_more_matches_than_are_shown_are_counted():
    found = read("x\n" * 500, "x")
    assert (found.matches, len(found.shown)) == (500, MATCHES_PER_CONTAINER)


def test_no_more_is_kept_than_an_answer_shows():
    found = read(("y" * 900 + "\n") * 20 * 100 + "x\n", "y", context_lines=10)
    assert found.matches == 2000
    assert 20_000 < sum(len(line.text) for line in found.shown) < 21_000


def test_long_lines_are_cut_and_endless_ones_bounded():
    found = read("x" * 10_000 + "\n" + "y" * 1_000_000 + "x", "x")
    assert found.matches == 1, "what is beyond 64 KiB of a line isn't searched"
    assert found.overlong
    (entry,) = found.shown
    assert len(entry.text) == LINE_CHARS + 1
    assert not read("y" * SEARCHED_CHARS, "x").overlong


@pytest.mark.parametrize("cuts", [(), (SEARCHED_CHARS,), (10, 70_000, 140_000)])
def test_what_stands_on_both_sides_of_what_isnt_searched_doesnt_match_together(cuts):
    log = "y" * (SEARCHED_CHARS - 1) + "a" + "y" * 100_000 + "b\nab\n"
    assert (read(log, "ab", cuts=cuts).matches, read(log, "ab", cuts=cuts).lines) == (1, 2)


@given(st.lists(st.integers(0, len(LOG)), max_size=8))
def test_however_a_log_is_cut_the_same_is_found(cuts):
    cut, whole = read(LOG, "error", cuts=cuts, context_lines=2), read(LOG, "error", context_lines=2)
    assert (cut.lines, cut.matches, cut.shown) == (whole.lines, whole.matches, whole.shown)


@pytest.mark.parametrize("query", ["(a+)+$", "(a|aa)+$", "(.*a){25}x", "a{0,900}b"])
def test_an_expression_that_would_explode_takes_time_in_proportion(query):
    match = search(query, use_regex=True).matcher()

    def cost(length):
        began = time.process_time()
        for _ in range(20):
            match("a" * length + "!")
        return time.process_time() - began

    cost(1000)
    assert cost(20_000) < 400 * (cost(1000) + 0.001), "twenty times the text, and nowhere near its square"


@pytest.mark.parametrize("query", ["(", r"(a)\1", "(?=a)", "*", "a{1001}"])
def test_what_re2_doesnt_know_is_told(query):
    with pytest.raises(Refused, match="no look-around"):
        search(query, use_regex=True).matcher()
