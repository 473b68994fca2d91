"""The body of a result in each contract, and how it is sent: long texts are read from the spool meanwhile. The spool
knows every text's escaped size, so the Content-Length is known before anything is read.
"""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Protocol

from agent.errors import size
from agent.link.answer import Answer
from agent.link.http import Http
from agent.model import Outcome, Result, Stream, json_text

RESULT_SECONDS, PASSED_ON_SECONDS = 10.0, 600.0  # for the answer to a small result; at most so much more to a large one
SHOWN_CHARS = 8192  # of each stream are repeated in `error`, which is all that some readers show of a failure
_STDOUT, _STDERR = "\ud800", "\ud801"
"""Stand in a body for all text of a stream. They can't be mistaken: no text in the spool has a lone surrogate."""
_STREAMS: dict[str, Stream] = {_STDOUT: "stdout", _STDERR: "stderr"}

_LESS = "Ask for less: one namespace or one object, --selector, -o name, and for logs --tail=100 or --since=10m."


class ReadyResult(Protocol):
    """One result on its way. Its output is read in pieces, in UTF-8, while it is sent."""

    command_id: str
    result: Result  # everything but the output
    correlation_id: str | None
    session_id: str | None
    executed_at: float | None  # in seconds since the epoch; None if nobody knows any more

    def json_bytes(self, stream: Stream) -> int: ...  # noqa: D102  # of the text as the inside of a JSON string
    def pieces(self, stream: Stream) -> AsyncGenerator[bytes, None]: ...  # noqa: D102


async def send(http: Http, path: str, ready: ReadyResult, body: dict[str, Any]) -> Answer:
    """Post the body of a result. Raises LinkDown."""
    written = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    segments = [_STREAMS.get(part) or part.encode() for part in re.split(f"([{_STDOUT}{_STDERR}])", written)]
    length = sum(len(each) if isinstance(each, bytes) else ready.json_bytes(each) for each in segments)

    async def pieces() -> AsyncGenerator[bytes, None]:
        for segment in segments:
            if isinstance(segment, bytes):
                yield segment
            else:
                async with aclosing(ready.pieces(segment)) as texts:
                    async for text in texts:
                        yield json_text(text)

    # Up to 64 KiB it is sent as one value: one write instead of several.
    content = pieces if length > 64 * 1024 else b"".join([piece async for piece in pieces()])
    # A proxy may have taken the whole body, and pass it on at 1 KiB/s.
    seconds = RESULT_SECONDS + min(length / 1024, PASSED_ON_SECONDS)
    # The command's own tracing ids, so that the API's log and the agent's can be read side by side.
    ids = {"X-Correlation-ID": ready.correlation_id, "X-Session-ID": ready.session_id}
    headers = {name: value for name, value in ids.items() if value}
    return await http.request("POST", path, seconds=seconds, body=content, length=length, headers=headers)


async def poll_body(ready: ReadyResult) -> dict[str, Any]:
    """`{"command_id", "result": {…}}`. `output` is stdout; what kubectl says beside a success is in `warnings`, and in
    `output` too where that would be empty.
    """
    result, stdout, stderr = ready.result, _whole(ready, _STDOUT), _whole(ready, _STDERR)
    fields = _numbers(result)
    if result.redactions:
        fields["redactions"] = result.redactions
    if result.success and stderr:
        fields["warnings"] = stderr
    begins = await _beginning(ready, "stdout") if result.truncated else ""
    fields["output"] = _json_note(result, begins) + _lines(stdout or fields.get("warnings"), _cut_note(result))
    fields["error"] = None if result.success else _lines(result.error, stderr)
    return {"command_id": ready.command_id, "result": fields}


async def stream_body(ready: ReadyResult) -> dict[str, Any]:
    """One flat object. It has no fields for what was cut and for stderr, and of a failure Kubently's model sees `error`
    alone (2.x): so `output` says everything in words, and `error` goes on with what was printed.
    """
    result = ready.result
    begins = "" if result.success and not result.truncated else await _beginning(ready, "stdout")
    at = datetime.now(UTC) if ready.executed_at is None else datetime.fromtimestamp(ready.executed_at, UTC)
    said = (result.error, _whole(ready, _STDERR))
    notes = (_cut_note(result), _redactions_note(result))
    output = _json_note(result, begins) + _lines(_whole(ready, _STDOUT), *said, *notes)
    error = None if result.success else _lines(result.error, await _beginning(ready, "stderr"), begins, *notes)
    fields = {"command_id": ready.command_id, "executed_at": at.isoformat(timespec="milliseconds"), **_numbers(result)}
    return {**fields, "output": output, "error": error}


def _whole(ready: ReadyResult, stands_for: str) -> str:
    return stands_for if ready.json_bytes(_STREAMS[stands_for]) else ""


async def _beginning(ready: ReadyResult, stream: Stream) -> str:
    text = ""
    async with aclosing(ready.pieces(stream)) as pieces:
        async for piece in pieces:
            text += piece.decode("utf-8", "replace")[: SHOWN_CHARS - len(text)]
            if len(text) >= SHOWN_CHARS:
                break
    return text


def _lines(*parts: str | None) -> str:
    return "\n".join(filter(None, parts))


def _numbers(result: Result) -> dict[str, Any]:
    fields: dict[str, Any] = {each: getattr(result, each) for each in ("success", "exit_code", "execution_time_ms")}
    if result.outcome is Outcome.TIMED_OUT:
        fields["timed_out"] = True
    if result.truncated:
        fields |= {"truncated": True, "output_bytes": result.output_bytes}
    return fields


def _json_note(result: Result, begins: str) -> str:
    """The note before JSON that was cut: whoever can't parse it should see why."""
    cut = result.truncated and begins.lstrip().startswith(("{", "["))
    return "[This JSON is cut: it isn't whole and can't be parsed.]\n" if cut else ""


def _cut_note(result: Result) -> str:
    return f"[Cut: this is the beginning of {size(result.output_bytes)}. {_LESS}]" if result.truncated else ""


def _redactions_note(result: Result) -> str:
    were = "value was" if result.redactions == 1 else "values were"
    why = "redacted on purpose, as they look like credentials. Asking again in another form changes nothing."
    return f"[{result.redactions} {were} {why}]" if result.redactions else ""
