"""The body of a result on its way: JSON whose long texts are read from the spool while they are sent.

A body is a list of segments: bytes as they are, or the name of a stream whose text goes there, escaped piece by piece.
The spool knows every text's escaped size, so the Content-Length is known before anything is read.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from agent.link.answer import Answer
from agent.link.contract import Parcel, Reply, Verdict
from agent.link.http import Http, Pieces
from agent.model import Stream, json_text

Segment = bytes | Stream

RESULT_SECONDS = 10.0
"""How long the answer to a small result may take."""

_WHOLE_BYTES = 64 * 1024  # up to here a body is sent as one value: one write instead of several


class Body:
    """One result as the bytes of a request.

    Args:
        parcel: the result and its output.
        segments: the body, in order.
    """

    def __init__(self, parcel: Parcel, segments: Sequence[Segment]) -> None:
        self._parcel = parcel
        self._segments = segments
        self.length = sum(len(s) if isinstance(s, bytes) else parcel.json_bytes(s) for s in segments)

    async def post(self, http: Http, path: str, headers: dict[str, str]) -> Answer:
        """Send it and return the answer.

        Raises:
            LinkDown: there was none.
        """
        body: bytes | Pieces = self._pieces
        if self.length <= _WHOLE_BYTES:
            body = b"".join([piece async for piece in self._pieces()])
        return await http.request(
            "POST", path, seconds=RESULT_SECONDS + self._patience(), body=body, length=self.length, headers=headers
        )

    def _patience(self) -> float:
        """How many seconds more what stands between may need to pass on what it has taken: longer with each attempt."""
        failed = min(self._parcel.attempts, 4) - 1
        return float(min(self.length / (8192 >> failed), 128 << 2 * failed))

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        for segment in self._segments:
            if isinstance(segment, bytes):
                yield segment
            else:
                async for text in self._parcel.pieces(segment):
                    yield json_text(text)


def result_segments(parcel: Parcel, *, all_in_output: bool = False, **first: Any) -> list[Segment]:
    """The result as a JSON object. `output` is stdout; `error` the agent's sentence and stderr, unless all is well.

    Args:
        parcel: the result and its output.
        all_in_output: let the sentence and stderr follow stdout in `output` too, for readers that look at nothing else.
        first: fields that stand before the result's own.
    """
    result = parcel.result
    fields: dict[str, Any] = {
        **first,
        "success": result.success,
        "exit_code": result.exit_code,
        "execution_time_ms": result.execution_time_ms,
    }
    if result.timed_out:
        fields["timed_out"] = True
    if result.truncated:
        fields |= {"truncated": True, "output_bytes": result.output_bytes}
    head = json.dumps(fields, separators=(",", ":"))[:-1].encode()
    aside = _aside(parcel)
    error: list[Segment] = [b"null"] if result.success else [b'"', *aside, b'"']
    output: list[Segment] = ["stdout"]
    if all_in_output and aside:
        output += [*([json_text("\n")] if parcel.json_bytes("stdout") else []), *aside]
    return [head, b',"output":"', *output, b'","error":', *error, b"}"]


def _aside(parcel: Parcel) -> list[Segment]:
    """What was said beside stdout: the agent's sentence, and stderr."""
    aside: list[Segment] = []
    if parcel.result.error:
        aside.append(json_text(parcel.result.error))
    if parcel.json_bytes("stderr"):
        aside += [json_text("\n"), "stderr"] if aside else ["stderr"]
    return aside


def trace_headers(parcel: Parcel) -> dict[str, str]:
    """The command's own tracing ids, so that the API's log and the agent's can be read side by side."""
    headers = {}
    if parcel.correlation_id:
        headers["X-Correlation-ID"] = parcel.correlation_id
    if parcel.session_id:
        headers["X-Session-ID"] = parcel.session_id
    return headers


def reply(answer: Answer, refusing: frozenset[int]) -> Reply:
    """What an answer to a result means. `refusing` are the statuses that are about this one result."""
    if 200 <= answer.status < 300:
        return Reply(Verdict.STORED, answer.status)
    if answer.status == 413:
        verdict = Verdict.TOO_LARGE
    elif answer.status in refusing:
        verdict = Verdict.REFUSED
    else:
        words = f"HTTP {answer.status}: {answer.words}" if answer.words else f"HTTP {answer.status}"
        return Reply(Verdict.LATER, answer.status, words, answer.retry_after)
    return Reply(verdict, answer.status, answer.words or f"HTTP {answer.status}", answer.retry_after)
