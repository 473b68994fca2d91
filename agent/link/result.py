"""A result as each contract wants it: JSON in segments, whose long texts are read from the spool as they are sent."""

import json
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from agent.humanize import size
from agent.link.contract import ReadyResult
from agent.model import Stream, json_text

Segment = bytes | Stream
"""Bytes as they are, or the name of a stream whose text goes there, escaped."""

SHOWN_CHARS = 8192
"""How much of each stream is repeated in `error`, which is all that some readers show of a failure."""

_ASK_FOR_LESS = (
    "Ask for less: one namespace or one object, --selector, -o name, and for logs --tail=100 or --since=10m."
)


async def poll_result(ready: ReadyResult) -> list[Segment]:
    """`{"command_id", "result": {…}}`. `output` is stdout; what kubectl says beside a success is in `warnings`, and in
    `output` too where that would be empty.
    """
    result = ready.result
    fields = _numbers(ready)
    if result.redactions:
        fields["redactions"] = result.redactions
    body: list[Segment] = [b'{"command_id":"', json_text(ready.command_id), b'","result":', _opened(fields)]
    warns = result.success and ready.json_bytes("stderr") > 0
    if warns:
        body += [b',"warnings":"', "stderr", b'"']
    printed: list[Segment] = ["stdout"] if ready.json_bytes("stdout") else ["stderr"] if warns else []
    begins = await _beginning(ready, "stdout", SHOWN_CHARS) if result.truncated else ""
    output = [*_json_note(ready, begins), *_lines(printed, _cut_note(ready))]
    error = None if result.success else _aside(ready)
    return [*body, b',"output":', *_quoted(output), b',"error":', *_quoted(error), b"}}"]


async def stream_result(ready: ReadyResult, now: float) -> list[Segment]:
    """One flat object. It has no fields for what was cut and for stderr, and of a failure Kubently's model sees `error`
    alone (2.x): so `output` says everything in words, and `error` goes on with what was printed.

    Args:
        ready: the result and its output.
        now: seconds since the epoch, for what has lost its own time.
    """
    result = ready.result
    at = datetime.fromtimestamp(now if ready.executed_at is None else ready.executed_at, UTC)
    fields = {"command_id": ready.command_id, "executed_at": at.isoformat(timespec="milliseconds"), **_numbers(ready)}
    begins = await _beginning(ready, "stdout", SHOWN_CHARS)
    notes = [_cut_note(ready), _redactions_note(ready)]
    output = [*_json_note(ready, begins), *_lines(["stdout"] if begins else [], _aside(ready), *notes)]
    error: list[Segment] | None = None
    if not result.success:
        error = _lines(*([json_text(text)] for text in (await _told(ready), begins) if text), *notes)
    return [_opened(fields), b',"output":', *_quoted(output), b',"error":', *_quoted(error), b"}"]


def _numbers(ready: ReadyResult) -> dict[str, Any]:
    result = ready.result
    fields: dict[str, Any] = {
        "success": result.success,
        "exit_code": result.exit_code,
        "execution_time_ms": result.execution_time_ms,
    }
    if result.timed_out:
        fields["timed_out"] = True
    if result.truncated:
        fields |= {"truncated": True, "output_bytes": result.output_bytes}
    return fields


def _json_note(ready: ReadyResult, begins: str) -> list[Segment]:
    """What stands before JSON that was cut: whoever parses it should see why he can't."""
    if not ready.result.truncated or begins.lstrip()[:1] not in ("{", "["):
        return []
    return [json_text("[This JSON is cut: it isn't whole and can't be parsed.]\n")]


def _cut_note(ready: ReadyResult) -> list[Segment]:
    if not ready.result.truncated:
        return []
    return [json_text(f"[Cut: this is the beginning of {size(ready.result.output_bytes)}. {_ASK_FOR_LESS}]")]


def _redactions_note(ready: ReadyResult) -> list[Segment]:
    count = ready.result.redactions
    if not count:
        return []
    were = "value was" if count == 1 else "values were"
    words = f"[{count} {were} redacted on purpose, as they look like credentials. Asking again in another form changes "
    return [json_text(f"{words}nothing.]")]


def _aside(ready: ReadyResult) -> list[Segment]:
    """What was said beside stdout: the agent's sentence, and stderr."""
    said: list[Segment] = [json_text(ready.result.error)] if ready.result.error else []
    return _lines(said, ["stderr"] if ready.json_bytes("stderr") else [])


async def _told(ready: ReadyResult) -> str:
    """The same, bounded."""
    stderr = await _beginning(ready, "stderr", SHOWN_CHARS)
    return "\n".join(text for text in (ready.result.error, stderr) if text)


async def _beginning(ready: ReadyResult, stream: Stream, most: int) -> str:
    text = ""
    if ready.json_bytes(stream):
        async with aclosing(ready.pieces(stream)) as pieces:
            async for piece in pieces:
                text += piece[: most - len(text)]
                if len(text) >= most:
                    break
    return text


def _lines(*parts: Sequence[Segment]) -> list[Segment]:
    """Those that aren't empty, a line break between them."""
    lines: list[Segment] = []
    for part in filter(None, parts):
        lines += [json_text("\n"), *part] if lines else part
    return lines


def _opened(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"))[:-1].encode()


def _quoted(text: Sequence[Segment] | None) -> list[Segment]:
    return [b"null"] if text is None else [b'"', *text, b'"']
