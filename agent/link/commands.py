"""From what the API sent to commands. Pure, and it trusts nothing: wrong types, missing and huge ids, other tools.

A command whose id can be read becomes a `Command` or, if the rest makes no sense, a `Malformed` that is answered with
an error. What has no readable id is only counted: there is nobody to answer to.
"""

import json
import sys
from collections.abc import Iterable
from typing import Any

from agent.link.contract import Batch
from agent.model import MAX_ID_CHARS, Command, Malformed

_LONGEST_ANSWERED_ID = 4096  # longer than allowed ids are still answered, up to here; beyond it is no id
_MAX_SHOWN_TOOL = 64
_BROKEN = "\ufffd"  # stands for bytes of an event that weren't UTF-8: such an id isn't the one that the API knows


def read_batch(body: bytes) -> Batch | None:
    """The commands of a poll's answer, `{"commands": [...]}`; None if it isn't one."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):  # ValueError covers broken JSON, broken UTF-8 and numbers of 5,000 digits
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("commands"), list):
        return None
    return as_batch(read_command(entry) for entry in answer["commands"])


def as_batch(read: Iterable[Command | Malformed | None]) -> Batch:
    """What was read, sorted; what couldn't be (None) is counted."""
    batch = Batch()
    skipped = 0
    for command in read:
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
    timeout = entry.get("timeout")
    return Command(
        id=command_id,
        args=tuple(entry["args"]),
        timeout=None if timeout is None else float(timeout),
        correlation_id=correlation_id,
        session_id=session_id,
    )


def _problem(entry: dict[str, Any]) -> str | None:
    if len(entry["id"]) > MAX_ID_CHARS:
        return f"The command's id has {len(entry['id'])} characters; at most {MAX_ID_CHARS} are allowed."
    tool = entry.get("tool")
    if tool is None and "args" not in entry:
        tool = entry.get("type")  # its name in some versions of Kubently
    if tool not in (None, "kubectl"):
        return f"This agent runs kubectl only, not the tool {_shown(tool)}."
    args = entry.get("args")
    if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
        return 'The command\'s "args" must be a list of strings.'
    if not all(_encodable(arg) for arg in args):
        return 'The command\'s "args" hold a lone surrogate, which is no character.'
    return _timeout_problem(entry.get("timeout"))


def _timeout_problem(timeout: object) -> str | None:
    if timeout is None:
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
