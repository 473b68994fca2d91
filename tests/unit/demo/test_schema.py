"""docs/openapi.yaml as the reference API checks it: what is wrong is found, and said with its place."""

import pytest

from demo import schema
from demo.contract import poll_problems

RESULT = {"success": True, "output": "ok", "error": None, "exit_code": 0, "execution_time_ms": 12}
SEARCH = {"namespace": "shop", "query": "ERROR"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Command", {"id": "1", "args": ["get", "pods"]}),
        ("Command", {"id": "1", "args": [], "tool": "kubectl", "timeout": 0.5, "unknown": 1}),
        ("Command", {"id": "1", "tool": "log_search", "request": SEARCH | {"selector": "app=web"}}),
        ("LogSearch", SEARCH | {"pod_name": "web-1", "since_time": 1764331200, "context_lines": 10}),
        ("PollResult", {"command_id": "1", "result": RESULT | {"warnings": "none found", "redactions": 2}}),
        ("StreamResult", {"command_id": "1", "success": False, "execution_time_ms": 0, "executed_at": None}),
        ("Acknowledgement", {}),
        ("Status", {"is_active": False}),
    ],
)
def test_what_is_right(name: str, value: object) -> None:
    assert schema.problems(name, value) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Command", {"args": []}, "the body: id is missing"),
        ("Command", {"id": "", "args": []}, "id: at least 1 characters are wanted"),
        ("Command", {"id": "x" * 257, "args": []}, "id: at most 256 characters are allowed"),
        ("Command", {"id": "1", "args": ["get", 1]}, "args[1]: string is wanted, not int"),
        ("Command", {"id": "1", "args": [], "timeout": 0}, "timeout: more than 0 is wanted"),
        ("Command", {"id": "1", "args": [], "timeout": True}, "timeout: number is wanted, not bool"),
        ("Command", {"id": "1", "args": [], "tool": "helm"}, "tool: one of kubectl, log_search is wanted"),
        ("Command", {"id": "1"}, "exactly one of 2 forms is wanted, 0 fit"),
        ("Command", {"id": "1", "tool": "log_search", "args": []}, "exactly one of 2 forms is wanted, 0 fit"),
        ("LogSearch", SEARCH | {"selector": "a", "pod_name": "b"}, "exactly one of 2 forms is wanted, 2 fit"),
        ("LogSearch", SEARCH | {"selector": "a", "tail_lines": 10_001}, "tail_lines: at most 10000 is wanted"),
        ("LogSearch", SEARCH | {"selector": "a", "query": "x" * 513}, "query: at most 512 characters are allowed"),
        ("LogSearch", SEARCH | {"selector": "a", "context_lines": 11}, "context_lines: at most 10 is wanted"),
        ("PollResult", [], "the body: object is wanted, not list"),
        (
            "PollResult",
            {"command_id": "1", "result": RESULT | {"output": 3}},
            "result.output: string or null is wanted",
        ),
        ("PollResult", {"command_id": "1", "result": RESULT | {"exit_code": -1}}, "result.exit_code: at least 0"),
        (
            "StreamResult",
            {"command_id": "1", "success": True, "execution_time_ms": 1.5},
            "integer is wanted, not float",
        ),
        (
            "StreamResult",
            {"command_id": "1", "success": True, "execution_time_ms": 1, "executed_at": "noon"},
            "ISO 8601",
        ),
        ("Capabilities", {"mode": "readOnly", "allowed_verbs": ["get"] * 51}, "allowed_verbs: at most 50 are allowed"),
    ],
)
def test_what_is_wrong(name: str, value: object, said: str) -> None:
    assert said in "; ".join(schema.problems(name, value))


@pytest.mark.parametrize(("success", "exit_code"), [(True, 1), (True, None), (False, 0)])
def test_success_and_exit_code_agree(success: bool, exit_code: int | None) -> None:
    result = RESULT | {"success": success, "exit_code": exit_code}
    assert "contradicts" in poll_problems({"command_id": "1", "result": result})[0]


def test_every_word_of_every_schema_is_known() -> None:
    """A word that the check doesn't know would be a promise that nobody keeps."""

    def words(found: object) -> set[str]:
        if not isinstance(found, dict):
            return set()
        inside = [*found.get("properties", {}).values(), *found.get("oneOf", ()), found.get("items")]
        return set(found).union(*map(words, inside))

    used = set().union(*map(words, schema.SPECIFICATION["components"]["schemas"].values()))
    assert used <= {*schema._CHECKS, *schema._INSIDE, *schema._ANNOTATIONS}
    with pytest.raises(KeyError, match="pattern"):
        schema._problems({"pattern": "x"}, "x", "")
