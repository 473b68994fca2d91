"""One result on its way: the bytes of its request, and what the answer to it means.

The spool knows every text's escaped size, so the Content-Length is known before anything is read.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from agent.link.answer import Answer
from agent.link.contract import ReadyResult, Reply, Verdict
from agent.link.http import Http, Pieces
from agent.link.result import Segment
from agent.model import json_text

RESULT_SECONDS = 10.0
"""How long the answer to a small result may take."""

PATIENCE_SECONDS = 120

_WHOLE_BYTES = 64 * 1024  # up to here a body is sent as one value: one write instead of several


class Body:
    """One result as the bytes of a request."""

    def __init__(self, ready: ReadyResult, segments: Sequence[Segment]) -> None:
        self._ready = ready
        self._segments = segments
        self.length = sum(len(s) if isinstance(s, bytes) else ready.json_bytes(s) for s in segments)

    async def post(self, http: Http, path: str) -> Answer:
        """Send it and return the answer.

        Raises:
            LinkDown: there was none.
        """
        body: bytes | Pieces = self._pieces
        if self.length <= _WHOLE_BYTES:
            body = b"".join([piece async for piece in self._pieces()])
        seconds = RESULT_SECONDS + self._patience()
        headers = _trace_headers(self._ready)
        return await http.request("POST", path, seconds=seconds, body=body, length=self.length, headers=headers)

    def _patience(self) -> float:
        """How many seconds more the answer may take: something on the way may have taken all, and pass it on at
        1 KiB/s. A large one counts as hanging sooner, but each attempt waits four times as long.
        """
        failed = min(max(self._ready.attempts, 1), 4) - 1
        return float(min(self.length / 1024, PATIENCE_SECONDS << 2 * failed))

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        for segment in self._segments:
            if isinstance(segment, bytes):
                yield segment
            else:
                async with aclosing(self._ready.pieces(segment)) as pieces:
                    async for text in pieces:
                        yield json_text(text)


def _trace_headers(ready: ReadyResult) -> dict[str, str]:
    """The command's own tracing ids, so that the API's log and the agent's can be read side by side."""
    ids = {"X-Correlation-ID": ready.correlation_id, "X-Session-ID": ready.session_id}
    return {name: value for name, value in ids.items() if value}


def reply(answer: Answer, command_id: str, refusing: frozenset[int]) -> Reply:
    """What an answer to a result means. `refusing` are the statuses with which the API refuses this one for good.

    Anything may say 200 or 404: what counts is in words that the API would use.
    """
    said = _object(answer)
    words = f"HTTP {answer.status}: {answer.words}" if answer.words else f"HTTP {answer.status}"
    if 200 <= answer.status < 300:
        if not answer.body.strip() or (said is not None and said.get("command_id", command_id) == command_id):
            return Reply(Verdict.STORED, answer.status)
        return Reply(Verdict.LATER, answer.status, f"{words}: not the API's acknowledgement", answer.retry_after)
    if answer.status == 413:
        return Reply(Verdict.TOO_LARGE, answer.status, words, answer.retry_after)
    if answer.status in refusing and said is not None:
        return Reply(Verdict.REFUSED, answer.status, answer.words, answer.retry_after)
    return Reply(Verdict.LATER, answer.status, words, answer.retry_after)


def _object(answer: Answer) -> dict[str, object] | None:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
