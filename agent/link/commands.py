"""Turns what the API sent into commands. Pure, and it trusts nothing: wrong types, missing and huge ids, other tools.
A command whose id can be read becomes a `Command` or, if the rest makes no sense, a `Malformed` that is answered with
an error. What has no readable id is only counted: there is nobody to answer to.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.model import MAX_ARGUMENT_BYTES, MAX_ARGUMENTS, MAX_ID_CHARS, Command, Malformed

MAX_ENTRIES = 1000  # of one answer are read. The contract says 10; each that can't run costs a durable answer
LOG_SEARCH = "log_search"  # the tool whose parameters are in `request`
_LONGEST_ANSWERED_ID = 4096  # longer than allowed ids are still answered, up to here; beyond it is no id

_ELSEWHERE = {  # alternatives to the tools that other executors have, by a part of the tool's name
    "prometheus": "Query Prometheus itself, or its API.",
    "promql": "Query Prometheus itself, or its API.",
    "loki": "Query Loki itself, or search the logs of pods with the tool log_search.",
    "logql": "Query Loki itself, or search the logs of pods with the tool log_search.",
    "helm": "A release is in the cluster as objects: `kubectl get all -l app.kubernetes.io/instance=NAME` shows it.",
    "argocd": "Argo CD's applications are objects: `kubectl get applications.argoproj.io -A` shows them.",
    "cloud": "What the cluster knows of its cloud is in `kubectl get nodes -o yaml` and in events.",
}


@dataclass(frozen=True, slots=True)
class Batch:
    """What one receive brought."""

    commands: list[Command] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    skipped: int = 0  # how many entries had no id that can be read, or were beyond the bound
    recognised: bool = True  # whether this proves that the API itself has answered: anything can say 204 at once


def read_batch(entries: Sequence[object]) -> Batch:
    """The entries, sorted."""
    read = [read_command(entry) for entry in entries[:MAX_ENTRIES]]
    malformed = [each for each in read if isinstance(each, Malformed)]
    commands = [each for each in read if each is not None and not isinstance(each, Malformed)]
    return Batch(commands, malformed, len(entries) - len(commands) - len(malformed))


def read_command(entry: object) -> Command | None:
    """One command; None when not even its id can be read."""
    if not isinstance(entry, dict) or not _is_id(entry.get("id")):
        return None
    command_id = entry["id"]
    tool = entry.get("tool")
    if not tool and "args" not in entry:
        tool = entry.get("type")  # its name in some versions of Kubently
    tool = tool or "kubectl"
    correlation_id, session_id = _trace(entry.get("correlation_id")), _trace(entry.get("session_id"))
    problem = _problem(entry, tool)
    if problem is not None:
        return Malformed(command_id, (), None, correlation_id, session_id, reason=problem)
    return Command(
        id=command_id,
        args=tuple(entry["args"]) if tool == "kubectl" else (),
        timeout=float(entry.get("timeout") or 0) or None,  # Go writes 0 for none
        correlation_id=correlation_id,
        session_id=session_id,
        tool=tool,
        request=entry["request"] if tool == LOG_SEARCH else None,
    )


def _problem(entry: dict[str, Any], tool: Any) -> str | None:
    if len(entry["id"]) > MAX_ID_CHARS:
        return f"The command's id has {len(entry['id'])} characters; at most {MAX_ID_CHARS} are allowed."
    if tool in ("kubectl", LOG_SEARCH):
        return _content_problem(entry, tool) or _timeout_problem(entry.get("timeout"))
    name = tool.lower().replace("_", "").replace("-", "") if isinstance(tool, str) else ""
    instead = next((words for word, words in _ELSEWHERE.items() if word in name), "")
    shown = repr(tool)[:64].encode("ascii", "replace").decode()
    return f"This agent runs kubectl and log_search, not the tool {shown}. {instead}".rstrip()


def _content_problem(entry: dict[str, Any], tool: str) -> str | None:
    args, request = entry.get("args"), entry.get("request")
    try:
        if tool == LOG_SEARCH:
            if not isinstance(request, dict):
                return 'The command\'s "request" must be an object.'
            size, have = len(json.dumps(request, ensure_ascii=False).encode()), "request has"
        else:
            if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
                return 'The command\'s "args" must be a list of strings.'
            if len(args) > MAX_ARGUMENTS:
                return f"The command has {len(args)} arguments; at most {MAX_ARGUMENTS} are allowed."
            size, have = len("".join(args).encode()), "arguments have"
    except UnicodeEncodeError:
        return "The command has a lone surrogate, which is no character."
    except RecursionError:  # CPython 3.11 reads deeper than it writes
        return 'The command\'s "request" is nested too deeply.'
    most = MAX_ARGUMENT_BYTES
    return f"The command's {have} {size} bytes; at most {most} are allowed." if size > most else None


def _timeout_problem(timeout: object) -> str | None:
    if timeout is None or timeout == 0:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        return 'The command\'s "timeout" must be a number of seconds.'
    if not 0 < timeout <= sys.float_info.max:  # an integer of JSON may be larger than any float
        return 'The command\'s "timeout" must be more than 0 seconds, and finite.'
    return None


def _is_id(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ANSWERED_ID:
        return False
    return value.isprintable() and "\ufffd" not in value  # which stands for bytes that weren't UTF-8: not the API's id


def _trace(value: object) -> str | None:
    """A tracing id that can go into a header and a log line; anything else is left out."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        return None
    # A header may neither begin nor end with a space (RFC 9110 §5.5): such a result could never be sent.
    return value if value.isascii() and value.isprintable() and value == value.strip() else None
