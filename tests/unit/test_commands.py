"""What the API sends is untrusted."""

import pytest

from agent.link.commands import MAX_ENTRIES, read_batch, read_command
from agent.model import Command, Malformed


def test_a_command_as_it_should_be():
    entry = {"id": "c1", "args": ["get", "pods"], "timeout": 5, "correlation_id": "t-1", "session_id": "s-1", "x": 1}
    assert read_command(entry) == Command("c1", ("get", "pods"), 5.0, "t-1", "s-1")


def test_only_id_and_args_are_needed():
    assert read_command({"id": "c1", "args": []}) == Command("c1", ())
    assert read_command({"id": "c1", "args": ["version"], "timeout": None, "tool": "kubectl"}) == Command(
        "c1", ("version",)
    )


def test_what_go_writes_for_nothing_is_nothing():
    entry = {"id": "c1", "args": ["get"], "timeout": 0, "tool": "", "correlation_id": "", "session_id": ""}
    assert read_command(entry) == Command("c1", ("get",))


def test_a_search_through_logs():
    request = {"namespace": "shop", "pod_name": "web", "query": "error"}
    command = read_command({"id": "c1", "tool": "log_search", "request": request, "timeout": 50, "args": ["x"]})
    assert command == Command("c1", (), 50.0, tool="log_search", request=request)


@pytest.mark.parametrize("entry", [{"id": "m"}, {"id": "c", "args": ["get"]}, 7])
def test_of_far_too_many_only_the_first_are_looked_at(entry):
    batch = read_batch([entry] * 60_000)
    assert len(batch.commands) + len(batch.malformed) + batch.skipped == 60_000
    assert len(batch.commands) + len(batch.malformed) <= MAX_ENTRIES


@pytest.mark.parametrize(
    "entry",
    [None, 7, "c1", [], {}, {"args": ["get"]}, {"id": 7}, {"id": None}, {"id": ""}, {"id": ["a"]}, {"id": True},
     {"id": "a\nb"}, {"id": "a\0b"}, {"id": "\ud800"}, {"id": "a\ufffd"}, {"id": "x" * 4097}],
)  # fmt: skip
def test_without_a_readable_id_there_is_nobody_to_answer(entry):
    assert read_command(entry) is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "list of strings"),
        ({"args": "get pods"}, "list of strings"),
        ({"args": {"get": 1}}, "list of strings"),
        ({"args": ["get", 1]}, "list of strings"),
        ({"args": ["get", None]}, "list of strings"),
        ({"args": ["get", "\udc80"]}, "lone surrogate"),
        ({"args": [], "timeout": "10"}, "number of seconds"),
        ({"args": [], "timeout": True}, "number of seconds"),
        ({"args": [], "timeout": -1}, "more than 0"),
        ({"args": [], "timeout": float("nan")}, "finite"),
        ({"args": [], "timeout": float("inf")}, "finite"),
        ({"args": [], "timeout": 10**400}, "finite"),
        ({"args": [], "tool": "helm"}, "not the tool 'helm'"),
        ({"type": "cloud", "operation": "x"}, "not the tool 'cloud'. What the cluster knows"),
        ({"tool": "prometheus_query"}, "Query Prometheus itself"),
        ({"tool": "loki"}, "log_search"),
        ({"tool": "helm"}, "app.kubernetes.io/instance"),
        ({"tool": "argo-cd"}, "applications.argoproj.io"),
        ({"tool": "log_search"}, "must be an object"),
        ({"tool": "log_search", "request": "x"}, "must be an object"),
        ({"tool": "log_search", "request": {"query": "\udc80"}}, "lone surrogate"),
        ({"tool": "log_search", "request": {"query": "x" * 20_000}}, "20013 bytes"),
        ({"tool": "log_search", "request": {}, "timeout": -1}, "more than 0"),
        ({"args": ["get"] * 65}, "65 arguments"),
        ({"args": ["get", "x" * 16_382]}, "16385 bytes"),
        ({"args": ["é" * 8193]}, "16386 bytes"),
        ({"type": "kubectl"}, "list of strings"),
        ({"args": [], "tool": {"a": "é" * 500}}, "not the tool"),
        ({"args": [], "id": "x" * 300}, "300 characters"),
    ],
)
def test_a_readable_id_is_answered(fields, says):
    command = read_command({"id": "c1", "correlation_id": "t", **fields})
    assert isinstance(command, Malformed)
    assert says in command.reason
    assert len(command.reason) < 250
    assert command.correlation_id == "t"


def test_a_request_that_is_nested_too_deeply():
    request: dict[str, object] = {}
    for _ in range(100_000):
        request = {"a": request}
    command = read_command({"id": "c1", "tool": "log_search", "request": request})
    assert isinstance(command, Malformed)
    assert "nested too deeply" in command.reason


@pytest.mark.parametrize("trace", [7, "", "x" * 300, "a\r\nb", "ü", " ", " a", "a ", None, ["a"]])
def test_tracing_ids_that_fit_no_header_are_left_out(trace):
    assert read_command({"id": "c1", "args": [], "correlation_id": trace, "session_id": trace}) == Command("c1", ())


def test_good_bad_and_hopeless_in_one_answer():
    batch = read_batch([{"id": "a", "args": ["get"]}, {"id": "b"}, 7, {"no": "id"}])
    assert [c.id for c in batch.commands] == ["a"]
    assert [m.id for m in batch.malformed] == ["b"]
    assert batch.skipped == 2
