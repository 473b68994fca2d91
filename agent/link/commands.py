"""From what the API sent to commands. Pure, and it trusts nothing: wrong types, missing and huge ids, other tools.

A command whose id can be read becomes a `Command` or, if the rest makes no sense, a `Malformed` that is answered with
an error. What has no readable id is only counted: there is nobody to answer to.
"""

import json
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any

from agent.link.contract import Batch
from agent.model import MAX_ARGUMENT_BYTES, MAX_ARGUMENTS, MAX_ID_CHARS, Command, Malformed

MAX_ENTRIES = 1000
"""So many entries of one answer are looked at. The contract says 10; each that can't be run costs a durable answer."""

LOG_SEARCH = "log_search"
"""The tool whose parameters are in `request`."""

_ELSEWHERE = {
    "prometheus": "Query Prometheus itself, or its API.",
    "promql": "Query Prometheus itself, or its API.",
    "loki": "Query Loki itself, or search the logs of pods with the tool log_search.",
    "logql": "Query Loki itself, or search the logs of pods with the tool log_search.",
    "helm": "A release is in the cluster as objects: `kubectl get all -l app.kubernetes.io/instance=NAME` shows it.",
    "argocd": "Argo CD's applications are objects: `kubectl get applications.argoproj.io -A` shows them.",
    "cloud": "What the cluster knows of its cloud is in `kubectl get nodes -o yaml` and in events.",
}
"""What to do instead of the tools that other executors have. Looked for in a tool's name."""

_LONGEST_ANSWERED_ID = 4096  # longer than allowed ids are still answered, up to here; beyond it is no id
_MAX_SHOWN_TOOL = 64
_BROKEN = "\ufffd"  # stands for bytes of an event that weren't UTF-8: such an id isn't the one that the API knows


def read_batch(body: bytes) -> Batch | None:
    """The commands of a poll's answer, `{"commands": [...]}`; None if it isn't one."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):  # ValueError covers broken JSON, broken UTF-8 and numbers of 5,000 digits
        return None
    if not isinstance(answer, dict) or "commands" not in answer:
        return None
    commands = [] if answer["commands"] is None else answer["commands"]  # Go writes null for none
    return as_batch(map(read_command, commands), len(commands)) if isinstance(commands, list) else None


def as_batch(read: Iterable[Command | Malformed | None], count: int = 0) -> Batch:
    """What was read, sorted. What couldn't be (None) is counted, as is what is beyond the first `MAX_ENTRIES`."""
    batch = Batch()
    skipped = max(0, count - MAX_ENTRIES)
    for command in islice(read, MAX_ENTRIES):
        if isinstance(command, Command):
            batch.commands.append(command)
        elif isinstance(command, Malformed):
            batch.malformed.append(command)
        else:
            skipped += 1
    return Batch(batch.commands, batch.malformed, skipped)


def read_command(entry: object) -> Command | Malformed | None:
    """One command; None when not even its id can be read."""
    if not isinstance(entry, dict) or not _is_id(entry.get("id")):
        return None
    command_id = entry["id"]
    correlation_id, session_id = _trace(entry.get("correlation_id")), _trace(entry.get("session_id"))
    problem = _problem(entry)
    if problem is not None:
        return Malformed(command_id, problem, correlation_id, session_id)
    timeout, tool = entry.get("timeout"), _tool(entry)
    return Command(
        id=command_id,
        args=tuple(entry["args"]) if tool == "kubectl" else (),
        timeout=float(timeout) if timeout else None,
        correlation_id=correlation_id,
        session_id=session_id,
        tool=tool,
        request=entry["request"] if tool == LOG_SEARCH else None,
    )


def _tool(entry: dict[str, Any]) -> Any:
    tool = entry.get("tool")
    if not tool and "args" not in entry:
        tool = entry.get("type")  # its name in some versions of Kubently
    return tool or "kubectl"


def _problem(entry: dict[str, Any]) -> str | None:
    if len(entry["id"]) > MAX_ID_CHARS:
        return f"The command's id has {len(entry['id'])} characters; at most {MAX_ID_CHARS} are allowed."
    tool = _tool(entry)
    if tool == "kubectl":
        return _args_problem(entry.get("args")) or _timeout_problem(entry.get("timeout"))
    if tool == LOG_SEARCH:
        return _request_problem(entry.get("request")) or _timeout_problem(entry.get("timeout"))
    name = tool.lower() if isinstance(tool, str) else ""
    instead = next((words for word, words in _ELSEWHERE.items() if word in name.replace("_", "").replace("-", "")), "")
    return f"This agent runs kubectl and log_search, not the tool {_shown(tool)}. {instead}".rstrip()


def _args_problem(args: object) -> str | None:
    if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
        return 'The command\'s "args" must be a list of strings.'
    if len(args) > MAX_ARGUMENTS:
        return f"The command has {len(args)} arguments; at most {MAX_ARGUMENTS} are allowed."
    if not all(_encodable(arg) for arg in args):
        return 'The command\'s "args" hold a lone surrogate, which is no character.'
    size = sum(len(arg.encode()) for arg in args)
    if size > MAX_ARGUMENT_BYTES:
        return f"The command's arguments have {size} bytes; at most {MAX_ARGUMENT_BYTES} are allowed."
    return None


def _request_problem(request: object) -> str | None:
    if not isinstance(request, dict):
        return 'The command\'s "request" must be an object.'
    if not _encodable(json.dumps(request, ensure_ascii=False)):
        return 'The command\'s "request" holds a lone surrogate, which is no character.'
    size = len(json.dumps(request))
    if size > MAX_ARGUMENT_BYTES:
        return f"The command's request has {size} bytes; at most {MAX_ARGUMENT_BYTES} are allowed."
    return None


def _timeout_problem(timeout: object) -> str | None:
    if timeout is None or timeout == 0:  # Go writes 0 for none
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        return 'The command\'s "timeout" must be a number of seconds.'
    if not 0 < timeout <= sys.float_info.max:  # an integer of JSON may be larger than any float
        return 'The command\'s "timeout" must be more than 0 seconds, and finite.'
    return None


def _is_id(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ANSWERED_ID:
        return False
    return value.isprintable() and _BROKEN not in value


def _trace(value: object) -> str | None:
    """A tracing id that can go into a header and a log line; anything else is left out."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        return None
    # A header may neither begin nor end with a space (RFC 9110 §5.5): such a result could never be sent.
    fits = value.isascii() and value.isprintable() and value == value.strip()
    return value if fits else None


def _shown(tool: object) -> str:
    return repr(tool)[:_MAX_SHOWN_TOOL].encode("ascii", "replace").decode()


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
