"""The central service as an agent sees it: what it knows, and what it does with commands and results."""

import math
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from demo.record import Answer, Asked, HandOut, LinkName, Record, Seen
from demo.server import Server, Tls, serving

BOTH: Collection[LinkName] = ("poll", "stream")

Interference = Callable[[Request], Awaitable[Response | None]]
"""Called before each request; what it returns is the answer, None lets the API answer."""


class ReferenceApi:
    """State and behaviour; `routes.py` and `sse.py` put them on the wire."""

    def __init__(
        self,
        *,
        token: str,
        cluster_id: str,
        links: Collection[LinkName],
        folder: Path,
        app: Callable[["ReferenceApi"], ASGIApp],
        port: int = 0,
        tls: Tls | None = None,
    ) -> None:
        self.token = token
        """The one that is accepted. Set another to rotate; open streams live on, as on the real server."""
        self.cluster_id = cluster_id
        self.links = links
        self.folder = folder
        """Where large bodies are kept."""
        self.active = True
        """Whether a session is active: what `GET /agent/status` says."""
        self.max_body_bytes = math.inf
        """A larger result is answered with 413."""
        self.capabilities: dict[str, Any] | None = None
        """As last reported; set to None and the next heartbeat hears `not_found`."""
        self.reports_capabilities = True
        """False: an old server, whose capability routes are 404."""
        self.interfere: Interference | None = None
        self.silent = False
        """True: open streams stay open and carry nothing more, as when the way to the server is cut half-way."""
        self.record = Record()
        self.requests: deque[Seen] = deque(maxlen=100_000)
        self.heartbeats = 0
        self.problems: list[str] = []
        """Every fault found in what an agent sent."""
        self.listeners: set[trio.MemorySendChannel[Asked]] = set()
        self._queue: deque[Asked] = deque()
        self._queued = trio.Event()
        self._server = Server(app(self), port, tls)

    @property
    def url(self) -> str:
        """KUBENTLY_API_URL for an agent."""
        return self._server.url

    @property
    def up(self) -> bool:
        """Whether it can be reached."""
        return self._server.up

    @property
    def queue_depth(self) -> int:
        """Commands that wait for a poll."""
        return len(self._queue)

    async def start(self) -> None:
        """Come back, on the same port, with everything remembered."""
        await self._server.start()

    async def stop(self) -> None:
        """Go away: connections are dropped, new ones refused."""
        await self._server.stop()

    async def ask(
        self,
        args: Sequence[object],
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # the command's, not this call's
        command_id: str | None = None,
        **fields: object,
    ) -> str:
        """Put a command on its way.

        `args` and further `fields` go into it as they are, so that they may be wrong on purpose. It goes to
        the stream if an agent listens there, else into the queue for polls. With `stream` alone and nobody
        listening it is gone, as on the real server: its record then has no hand-out.
        """
        return self._send({"args": list(args), **_limit(timeout), **fields}, command_id)

    async def search_logs(
        self,
        request: Mapping[str, object],
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # the command's, not this call's
        command_id: str | None = None,
    ) -> str:
        """Like `ask`, for the tool `log_search`: `request` goes out as it is."""
        return self._send({"tool": "log_search", "request": dict(request), **_limit(timeout)}, command_id)

    def _send(self, fields: Mapping[str, object], command_id: str | None) -> str:
        command_id = command_id or str(uuid.uuid4())
        asked = Asked(command_id, {"id": command_id, **fields}, trio.current_time())
        self.record.add(asked)
        self._publish(asked)
        return command_id

    async def result(self, command_id: str) -> Answer:
        """The first answer, waited for."""
        asked = self.record[command_id]
        await asked.answered.wait()
        return asked.answers[0]

    def hand_out_again(self) -> int:
        """Put every command without an answer on its way once more; how many.

        An agent that knows them runs nothing again.
        """
        again = [asked for asked in self.record.unanswered if asked not in self._queue]
        for asked in again:
            self._publish(asked)
        return len(again)

    def forget(self, command_id: str) -> None:
        """Take no result for this command any more (404 on poll, 403 on stream)."""
        self.record[command_id].forgotten = True

    def _publish(self, asked: Asked) -> None:
        if self.listeners:
            for listener in self.listeners:
                listener.send_nowait(asked)
        elif "poll" in self.links:
            self._queue.append(asked)
            self._queued.set()
            self._queued = trio.Event()

    async def wait_for_queue(self) -> None:
        """Until a command waits for a poll."""
        while not self._queue:
            await self._queued.wait()

    def take(self, most: int) -> list[Asked]:
        """Commands for one answer to a poll, noted as handed out."""
        taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        for asked in taken:
            self.handed_out(asked, "poll")
        return taken

    def handed_out(self, asked: Asked, link: LinkName) -> None:
        """Note that a command goes out now."""
        asked.handed_out.append(HandOut(trio.current_time(), link))

    def store(self, command_id: str, answer: Answer) -> bool:
        """Take a result; False when the id is unknown or no longer wanted."""
        if command_id not in self.record or self.record[command_id].forgotten:
            return False
        asked = self.record[command_id]
        asked.answers.append(answer)
        asked.answered.set()
        return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ReferenceApi"]:
        """Serve while the body runs."""
        async with serving(self._server):
            yield self


def _limit(seconds: float | None) -> dict[str, float]:
    return {} if seconds is None else {"timeout": seconds}
