"""A short storm, and the judge himself: it must find what it is there to find."""

import json
from contextlib import closing

import pytest
import trio

from demo.body import Body
from demo.record import Answer
from tests.chaos.record import judge
from tests.chaos.run import LINKS, storm
from tests.chaos.standin import prints
from tests.kit.api import fake_api

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("link", LINKS)
async def test_a_short_storm(tmp_path, link):
    said: list[str] = []
    with trio.fail_after(120):
        verdict = await storm(20261123, 4, tmp_path, link=link, pace=2.0, say=said.append)
    assert verdict.well, "\n".join(said)


def result(text, **fields):
    return {"success": True, "output": text, "error": None, "exit_code": 0, **fields}


def stored(api, known, value):
    """The API gets this result."""
    body = Body(api.folder)
    body.feed(json.dumps(value).encode())
    with closing(body):
        assert api.store(known.id, Answer(0.0, "poll", value, body))


@pytest.fixture
async def api():
    async with fake_api() as api:
        for number, name in enumerate(("a", "b"), 1):
            known = api.know(name, {}, prints(f"say-0-{name}"))
            api.handed_out(known, "poll")
            stored(api, known, result(f"say-0-{name} {number}\n"))
        yield api


def found(api, **more):
    verdict = judge(api, **{"rejected": [], "accepted": [], "runs": [], **more})
    return set(verdict.lost), set(verdict.doubled), set(verdict.differing)


async def test_nothing_wrong(api):
    stored(api, api.record["a"], result("say-0-a 1\n"))  # the same once more is what a lost answer brings
    assert found(api, accepted=["a", "b"], runs=[(-1, "a")]) == (set(), set(), set())


async def test_what_has_no_result_is_lost(api):
    known = api.know("c", {})
    assert found(api)[0] == set(), "it never left the API"
    api.handed_out(known, "poll")
    assert found(api)[0] == {"c"}
    known.rejected = True
    assert found(api)[0] == {"c"}, "nobody can see it"
    assert found(api, rejected=["c"])[0] == set()


async def test_what_was_accepted_twice_was_forgotten(api):
    assert found(api, accepted=["a", "b", "a"])[0] == {"a"}


async def test_a_run_after_the_result_is_a_double(api):
    assert found(api, runs=[(0, "b")])[1] == {"b"}


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
async def test_different_or_wrong_results_differ(api, first, second):
    known = api.record["a"]
    known.answers.clear()
    for each in filter(None, (first, second)):
        stored(api, known, each)
    assert found(api)[2] == {"a"}
