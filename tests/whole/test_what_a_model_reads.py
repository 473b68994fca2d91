"""What whoever asked gets to read, on both links: a model that sees one field of a result must not be misled by it."""

import json
from datetime import datetime

import pytest
import trio

from demo.api import reference_api
from tests.kit.agent import agent_process, ask

SENTENCE = "kubectl was ended after "


@pytest.fixture(params=["poll", "stream"])
async def api(request):
    async with reference_api(links=[request.param]) as api:
        yield api


async def results(api, *asked, **kwargs):
    """What comes back for these: kubectl's arguments, or the fields of a command for another tool."""
    asking = [ask(api, [], **each) if isinstance(each, dict) else ask(api, each, **kwargs) for each in asked]
    ids = [await each for each in asking]
    with trio.fail_after(60):
        return [(await api.result(command_id)).result for command_id in ids]


@pytest.mark.parametrize("where", ["here", "on its way"])
async def test_output_that_was_cut_says_so_in_its_last_line_and_json_in_its_first(api, tmp_path, where):
    (tmp_path / "json").write_text(json.dumps({"items": ["x" * 1000] * 300}))
    environ = {"KUBENTLY_MAX_OUTPUT_BYTES": "64Ki"} if where == "here" else {}
    api.max_body_bytes = 100_000 if where == "on its way" else api.max_body_bytes
    async with agent_process(api, tmp_path, **environ):
        whole, text, of_json = await results(api, "echo-whole", "flood-300000", "show-json")
    assert whole["output"] == "whole\n"
    for cut in (text, of_json):
        assert cut["success"] is True
        note = cut["output"].splitlines()[-1]
        assert note.startswith("[Cut: this is the beginning of 29")
        assert "Ask for less: one namespace or one object" in note
    assert text["output"].startswith("xxx")
    assert of_json["output"].startswith("[This JSON is cut: it isn't whole and can't be parsed.]\n{")
    assert api.problems == []


async def test_a_failure_shows_what_was_printed_before_it(api, tmp_path):
    async with agent_process(api, tmp_path):
        (failed,) = await results(api, "fail")
        (late,) = await results(api, "sleep-60", timeout=4)
    assert (failed["success"], failed["exit_code"]) == (False, 3)
    assert (late["success"], late["timed_out"]) == (False, True)
    if "stream" in api.links:  # Kubently's model sees `error` alone where there is one
        assert failed["error"] == "no such pod\n\nsome output\n"
        assert late["error"].startswith(SENTENCE)
        seconds = float(late["error"].removeprefix(SENTENCE).split()[0])
        assert 2 <= seconds < 4, "less what an answer needs to travel, which is measured"
        assert late["error"].endswith("\nbegan\n")
    else:
        assert failed["error"] == "no such pod\n"
        assert failed["output"] == "some output\n"
        assert late["error"].startswith(f"{SENTENCE}4 s")
        assert late["output"] == "began\n"
    assert api.problems == []


async def test_36_at_once_are_all_answered(api, tmp_path):
    """Room in the spool is reserved for those that run: 36 times 10 MiB is more than it has."""
    environ = {"KUBENTLY_SPOOL_MAX_BYTES": "256Mi", "KUBENTLY_MAX_OUTPUT_BYTES": "10Mi", "KUBENTLY_EXECUTORS": "12"}
    async with agent_process(api, tmp_path, **environ):
        answers = await results(api, *(f"nap-1-{n}" for n in range(36)), timeout=60)
    assert all(answer["success"] and answer["output"].endswith("ended\n") for answer in answers)


INSTEAD = {
    "prometheus": "Query Prometheus itself",
    "loki": "log_search",
    "helm": "kubectl get all -l app.kubernetes.io/instance=NAME",
    "argocd": "kubectl get applications.argoproj.io -A",
    "cloud": "kubectl get nodes -o yaml",
}


async def test_tools_that_only_others_have_are_answered_with_what_to_do_instead(api, tmp_path):
    async with agent_process(api, tmp_path):
        answers = await results(api, *({"tool": tool, "request": {"query": "up"}} for tool in INSTEAD))
    for (tool, instead), answer in zip(INSTEAD.items(), answers, strict=True):
        assert answer["success"] is False
        assert answer["error"].startswith(f"This agent runs kubectl and log_search, not the tool '{tool}'. ")
        assert instead in answer["error"]


async def test_every_result_of_the_stream_says_when(tmp_path):
    async with reference_api(links=["stream"]) as api:
        async with agent_process(api, tmp_path, KUBENTLY_EXECUTORS="1", KUBENTLY_MAX_OUTPUT_BYTES="64Ki"):
            search = {"tool": "log_search", "request": {"namespace": "shop", "selector": "a=b", "query": "("}}
            odd = [["delete", "pods", "a"], ["get", 7], {"tool": "helm"}, search, "fail"]
            answers = await results(api, *odd, "nap-5-x", *(f"say-0-{n}" for n in range(80)))
        assert {answer["success"] for answer in answers} == {True, False}
        assert any("no room for more commands" in answer["output"] for answer in answers)
        for answer in answers:
            assert datetime.fromisoformat(answer["executed_at"]).tzinfo is not None
        assert api.problems == []
