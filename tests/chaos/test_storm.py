"""A short storm, and the judge himself: it must find what it is there to find."""

import pytest
import trio

from tests.chaos.record import Known, Record, judge
from tests.chaos.run import LINKS, storm
from tests.chaos.standin import prints

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("link", LINKS)
async def test_a_short_storm(tmp_path, link):
    said: list[str] = []
    with trio.fail_after(120):
        verdict = await storm(20261123, 6, tmp_path, link=link, pace=2.0, say=said.append)
    assert verdict.well, "\n".join(said)
    assert " 0 kills" not in said[-1]


def result(text, **fields):
    return {"success": True, "output": text, "error": None, "exit_code": 0, **fields}


@pytest.fixture
def record():
    record = Record()
    for name in ("a", "b"):
        known = Known(name, {}, prints(f"say-0-{name}"))
        known.handed_out.append(0.0)
        record.add(known)
    record.store("a", result("say-0-a 1\n"), b"a")
    record.store("b", result("say-0-b 2\n"), b"b")
    return record


def found(record, **more):
    verdict = judge(record, **{"rejected": [], "accepted": [], "runs": [], **more})
    return set(verdict.lost), set(verdict.doubled), set(verdict.differing)


def test_nothing_wrong(record):
    record.store("a", result("say-0-a 1\n"), b"a")  # the same once more is what a lost answer brings
    assert found(record, accepted=["a", "b"], runs=[(-1, "a")]) == (set(), set(), set())


def test_what_has_no_result_is_lost(record):
    known = Known("c", {})
    record.add(known)
    assert found(record)[0] == set(), "it never left the API"
    known.handed_out.append(0.0)
    assert found(record)[0] == {"c"}
    known.rejected = True
    assert found(record)[0] == {"c"}, "nobody can see it"
    assert found(record, rejected=["c"])[0] == set()


def test_what_was_accepted_twice_was_forgotten(record):
    assert found(record, accepted=["a", "b", "a"])[0] == {"a"}


def test_a_run_after_the_result_is_a_double(record):
    assert found(record, runs=[(0, "b")])[1] == {"b"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (result("say-0-a 1\n"), result("say-0-a 2\n")),
        (result("say-0-a 1\n"), result("say-0-a 1\n", error="x")),
        (result("say-0-b 1\n"), None),
        (result("say-0-a 1\nx"), None),
        (result("say-0-a 1\n", success=False, exit_code=3), None),
        (result("", success=False, error="boom"), None),
    ],
)
def test_different_or_wrong_results_differ(record, first, second):
    known = record.commands["a"]
    known.results.clear()
    known.digests.clear()
    for each in filter(None, (first, second)):
        record.store("a", each, str(each).encode())
    assert found(record)[2] == {"a"}
