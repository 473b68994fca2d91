"""What the API sends is untrusted."""

import json

import pytest

from agent.link.commands import read_batch, read_command
from agent.model import Command, Malformed


def test_a_command_as_it_should_be():
    entry = {"id": "c1", "args": ["get", "pods"], "timeout": 5, "correlation_id": "t-1", "session_id": "s-1", "x": 1}
    assert read_command(entry) == Command("c1", ("get", "pods"), 5.0, "t-1", "s-1")


def test_only_id_and_args_are_needed():
    assert read_command({"id": "c1", "args": []}) == Command("c1", ())
    assert read_command({"id": "c1", "args": ["version"], "timeout": None, "tool": "kubectl"}) == Command(
        "c1", ("version",)
    )


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
        ({"args": [], "timeout": 0}, "more than 0"),
        ({"args": [], "timeout": -1}, "more than 0"),
        ({"args": [], "timeout": float("nan")}, "finite"),
        ({"args": [], "timeout": float("inf")}, "finite"),
        ({"args": [], "timeout": 10**400}, "finite"),
        ({"args": [], "tool": "helm"}, "not the tool 'helm'"),
        ({"args": [], "tool": ""}, "not the tool ''"),
        ({"type": "cloud", "operation": "x"}, "not the tool 'cloud'"),
        ({"type": "kubectl"}, "list of strings"),
        ({"args": [], "tool": {"a": "é" * 500}}, "not the tool"),
        ({"args": [], "id": "x" * 300}, "300 characters"),
    ],
)
def test_a_readable_id_is_answered(fields, says):
    command = read_command({"id": "c1", "correlation_id": "t", **fields})
    assert isinstance(command, Malformed)
    assert says in command.reason
    assert len(command.reason) < 200
    assert command.correlation_id == "t"


@pytest.mark.parametrize("trace", [7, "", "x" * 300, "a\r\nb", "ü", " ", " a", "a ", None, ["a"]])
def test_tracing_ids_that_fit_no_header_are_left_out(trace):
    assert read_command({"id": "c1", "args": [], "correlation_id": trace, "session_id": trace}) == Command("c1", ())


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe\x00", b"null", b"[]", b"{}", b'{"commands": {}}', b'{"commands": null}',
     b'{"commands": [', b"[" * 100_000, b'{"commands": [' + b"9" * 5000 + b"]}"],
)  # fmt: skip
def test_what_isnt_the_contracts_json(body):
    assert read_batch(body) is None


def test_good_bad_and_hopeless_in_one_answer():
    body = json.dumps({"commands": [{"id": "a", "args": ["get"]}, {"id": "b"}, 7, {"no": "id"}]}).encode()
    batch = read_batch(body)
    assert batch is not None
    assert [c.id for c in batch.commands] == ["a"]
    assert [m.id for m in batch.malformed] == ["b"]
    assert batch.skipped == 2
