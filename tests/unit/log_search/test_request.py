"""What is asked, from untrusted JSON."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.guard import Refused, decide
from agent.log_search import LogSearch

GOOD = {"namespace": "shop", "selector": "app=web", "query": "ERROR"}


def test_what_isnt_said_has_its_default():
    search = LogSearch.parse(GOOD)
    assert (search.tail_lines, search.context_lines, search.use_regex, search.case_sensitive) == (2000, 0, False, False)
    assert (search.previous, search.since, search.since_time, search.container) == (False, None, None, None)


def test_what_go_servers_write_for_nothing_means_nothing():
    empty = {"pod_name": "", "container": None, "since": "", "since_time": 0, "tail_lines": 0, "previous": None}
    assert LogSearch.parse({**GOOD, **empty}) == LogSearch.parse(GOOD)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"namespace": ""}, "needs `namespace`"),
        ({"query": None}, "needs `query`"),
        ({"selector": ""}, "exactly one of"),
        ({"pod_name": "web-0"}, "exactly one of"),
        ({"query": "x" * 513}, "at most 512"),
        ({"query": 7}, "`query` must be a string"),
        ({"since": "yesterday"}, "`since` must be a duration"),
        ({"since_time": [1]}, "`since_time` must be a time"),
        ({"since_time": 1e300}, "`since_time` must be a time"),
        ({"since_time": 1_700_000_000_000}, "`since_time` must be a time"),
        ({"since_time": "yesterday"}, "`since_time` must be a time"),
        ({"tail_lines": 10_001}, "from 0 to 10000"),
        ({"tail_lines": True}, "must be a number"),
        ({"context_lines": -1}, "from 0 to 10"),
        ({"use_regex": "yes"}, "must be a boolean"),
    ],
)
def test_what_makes_no_sense_is_told(change, says):
    with pytest.raises(Refused, match=says):
        LogSearch.parse({**GOOD, **change})


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("2026-08-16T12:00:00Z", "2026-08-16T12:00:00+00:00"),
        ("2026-08-16T12:00:00.5+02:00", "2026-08-16T12:00:00.500000+02:00"),
        ("2026-08-16T12:00:00", "2026-08-16T12:00:00+00:00"),
        ("1700000000", "2023-11-14T22:13:20+00:00"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250000+00:00"),
    ],
)
def test_a_time_is_written_in_more_ways_than_one(given, asked):
    search = LogSearch.parse({**GOOD, "since_time": given, "since": "1h"})
    line = search.logs_line("web-0", "app")
    assert f"--since-time={asked}" in line
    assert "--since=1h" not in line, "the time wins"
    assert f"since {asked}" in search.window


@given(
    st.dictionaries(st.sampled_from([*GOOD, "pod_name", "since_time", "tail_lines", "previous"]), st.from_type(type))
)
def test_nothing_else_is_ever_raised(request_):
    with contextlib.suppress(Refused):
        LogSearch.parse(request_)


def test_the_lines_pass_the_guard():
    search = LogSearch.parse(
        {**GOOD, "since": "1h30m", "since_time": 1_700_000_000, "tail_lines": 10, "previous": True, "container": "app"}
    )
    assert "--since-time=2023-11-14T22:13:20+00:00" in decide(search.logs_line("web-0", "app"))
    pods = decide(search.pods_line())
    assert "--selector=app=web" in pods
    one = LogSearch.parse({"namespace": "shop", "pod_name": "web-0", "query": "x", "since": "5m"})
    assert "--field-selector=metadata.name=web-0" in decide(one.pods_line())
    assert "--since=5m" in decide(one.logs_line("web-0", "app"))
    assert "pod web-0 in namespace shop" in one.where
    assert "of the last 5m" in one.window
