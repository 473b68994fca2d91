"""The body of a result on its way: JSON whose long texts are read from the spool while they are sent.

A body is a list of segments: bytes as they are, or the name of a stream whose text goes there, escaped piece by piece.
The spool knows every text's escaped size, so the Content-Length is known before anything is read. Only a body that is
compressed on its way has none.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from agent.link.answer import Answer
from agent.link.compress import LEAST_BYTES, compressed
from agent.link.contract import Parcel, Reply, Verdict
from agent.link.http import Http
from agent.model import Stream, json_text

Segment = bytes | Stream

RESULT_SECONDS = 10.0
RESULT_BYTES_PER_SECOND = 64 * 1024
"""A result's limit is 10 s, and longer by its size at this rate: a 10 MB result over a bad link takes minutes."""

NOT_SO = frozenset({400, 411, 415, 422, 500, 501})
"""Statuses that may be about a result's coding rather than the result: it is sent once more as it is."""

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
        if not http.takes_gzip or self.length < LEAST_BYTES:
            return await self._post_plain(http, path, headers)
        async with aclosing(self._pieces()) as pieces, aclosing(compressed(pieces)) as packed:
            answer = await self._post(http, path, {**headers, "Content-Encoding": "gzip"}, packed, None)
        if answer.status not in NOT_SO:
            return answer
        plain = await self._post_plain(http, path, headers)
        if plain.status not in NOT_SO:
            http.refuses_gzip()
        return plain

    async def _post_plain(self, http: Http, path: str, headers: dict[str, str]) -> Answer:
        async with aclosing(self._pieces()) as pieces:
            body: bytes | AsyncIterator[bytes] = pieces
            if self.length <= _WHOLE_BYTES:
                body = b"".join([piece async for piece in pieces])
            return await self._post(http, path, headers, body, self.length)

    async def _post(
        self, http: Http, path: str, headers: dict[str, str], body: bytes | AsyncIterator[bytes], length: int | None
    ) -> Answer:
        return await http.request(
            "POST",
            path,
            seconds=RESULT_SECONDS + self.length / RESULT_BYTES_PER_SECOND,
            read_seconds=RESULT_SECONDS,
            body=body,
            length=length,
            headers=headers,
        )

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
