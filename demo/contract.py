"""What the API accepts, checked field by field, so that an agent that drifts from the contract is told."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_Fields = Mapping[str, tuple[bool, tuple[type, ...]]]
"""Field -> (required, types). bool isn't an integer here, as in JSON."""

_NOTHING = type(None)
_RESULT: _Fields = {
    "success": (True, (bool,)),
    "output": (True, (str, _NOTHING)),
    "error": (True, (str, _NOTHING)),
    "exit_code": (True, (int, _NOTHING)),
    "execution_time_ms": (True, (int,)),
    "truncated": (False, (bool,)),
    "output_bytes": (False, (int,)),
    "timed_out": (False, (bool,)),
    "warnings": (False, (str,)),
    "redactions": (False, (int,)),
}
_FLAT: _Fields = {
    "command_id": (True, (str,)),
    "success": (True, (bool,)),
    "execution_time_ms": (True, (int,)),
    "output": (False, (str, _NOTHING)),
    "error": (False, (str, _NOTHING)),
    "exit_code": (False, (int, _NOTHING)),
    "executed_at": (False, (str, _NOTHING)),
}
_CAPABILITIES: _Fields = {
    "mode": (True, (str,)),
    "allowed_verbs": (False, (list,)),
    "restricted_resources": (False, (list,)),
    "allowed_flags": (False, (list,)),
    "executor_version": (False, (str, _NOTHING)),
    "executor_pod": (False, (str, _NOTHING)),
}
_MOST = {
    "allowed_verbs": 50,
    "restricted_resources": 50,
    "allowed_flags": 100,
    "executor_version": 50,
    "executor_pod": 253,
}
_MODES = {"readOnly", "extendedReadOnly", "fullAccess"}


def poll_problems(body: object) -> list[str]:
    """What is wrong with a body for `POST /agent/results`; nothing if it is right."""
    if not isinstance(body, dict):
        return ["the body: an object is wanted"]
    problems = []
    if not isinstance(body.get("command_id"), str):
        problems.append("command_id: a string is wanted")
    result = body.get("result")
    if not isinstance(result, dict):
        return [*problems, "result: an object is wanted"]
    return [*problems, *_wrong(result, _RESULT, "result."), *_contradictions(result)]


def stream_problems(body: object) -> list[str]:
    """What is wrong with a flat body for `POST /executor/results`."""
    if not isinstance(body, dict):
        return ["the body: an object is wanted"]
    problems = _wrong(body, _FLAT, "")
    executed_at = body.get("executed_at")
    if isinstance(executed_at, str) and not _is_time(executed_at):
        problems.append("executed_at: a time as in ISO 8601 is wanted")
    return problems


def capability_problems(body: object) -> list[str]:
    """What is wrong with a body for `POST /executor/capabilities`."""
    if not isinstance(body, dict):
        return ["the body: an object is wanted"]
    problems = _wrong(body, _CAPABILITIES, "")
    if body.get("mode") not in _MODES:
        problems.append(f"mode: one of {', '.join(sorted(_MODES))} is wanted")
    for name, most in _MOST.items():
        value = body.get(name)
        if isinstance(value, list | str) and len(value) > most:
            problems.append(f"{name}: at most {most} are allowed, {len(value)} were sent")
        if isinstance(value, list) and not all(isinstance(word, str) for word in value):
            problems.append(f"{name}: strings are wanted")
    return problems


def _wrong(body: Mapping[str, Any], fields: _Fields, prefix: str) -> list[str]:
    problems = []
    for name, (required, types) in fields.items():
        if name not in body:
            if required:
                problems.append(f"{prefix}{name}: missing")
            continue
        value = body[name]
        right = isinstance(value, types) and not (isinstance(value, bool) and bool not in types)
        if not right:
            wanted = " or ".join("null" if kind is _NOTHING else kind.__name__ for kind in types)
            problems.append(f"{prefix}{name}: {wanted} is wanted, not {type(value).__name__}")
        elif isinstance(value, int) and value < 0:
            problems.append(f"{prefix}{name}: at least 0 is wanted")
    return problems


def _contradictions(result: Mapping[str, Any]) -> list[str]:
    if result.get("success") is True and result.get("exit_code") != 0:
        return ["result.exit_code: a success has exit code 0"]
    if result.get("success") is False and result.get("exit_code") == 0:
        return ["result.success: exit code 0 is a success"]
    return []


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
