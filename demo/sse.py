"""The reference API on the wire: the `stream` contract with the bytes of Kubently 2.x (CRLF, pings)."""

import json
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from demo import contract
from demo.central import ReferenceApi
from demo.record import Asked

PING_SECONDS = 15
KEEPALIVE_SECONDS = 30
TTL_SECONDS = 3600


async def stream(api: ReferenceApi, request: Request) -> Response:  # noqa: ARG001  # as all handlers
    """GET /executor/stream: every listener gets each command; what is sent while nobody listens is gone."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(api), media_type="text/event-stream; charset=utf-8", headers=headers)


async def _events(api: ReferenceApi) -> AsyncIterator[bytes]:
    send, receive = trio.open_memory_channel[Asked](math.inf)
    api.listeners.add(send)
    try:
        yield _event("connected", {"status": "connected", "cluster_id": api.cluster_id})
        silent_seconds = 0
        while True:
            # The real server pings by the clock; for a listener the difference is only that it hears more.
            with trio.move_on_after(PING_SECONDS) as waiting:
                asked = await receive.receive()
                silent_seconds = 0
                api.handed_out(asked, "stream")
            if api.silent:
                continue
            if not waiting.cancelled_caught:
                yield _event("command", asked.command)
                continue
            silent_seconds += PING_SECONDS
            yield f": ping - {datetime.now(UTC).isoformat(sep=' ')}\r\n\r\n".encode()
            if silent_seconds >= KEEPALIVE_SECONDS:
                silent_seconds = 0
                yield _event("keepalive", {"timestamp": trio.current_time()})
    finally:
        api.listeners.discard(send)
        send.close()
        receive.close()


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n".encode()


async def capabilities(api: ReferenceApi, request: Request) -> Response:
    """POST /executor/capabilities."""
    if not api.reports_capabilities:
        return JSONResponse({"detail": "Not Found"}, 404)
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        problems = [f"the body isn't JSON: {error}"]
    else:
        problems = contract.capability_problems(body)
    if problems:
        api.problems.extend(problems)
        return JSONResponse({"detail": problems}, 422)
    api.capabilities = body
    return JSONResponse({"status": "success", "mode": body["mode"], "ttl_seconds": TTL_SECONDS})


async def heartbeat(api: ReferenceApi, request: Request) -> Response:  # noqa: ARG001  # as all handlers
    """POST /executor/heartbeat."""
    if not api.reports_capabilities:
        return JSONResponse({"detail": "Not Found"}, 404)
    api.heartbeats += 1
    known = api.capabilities is not None
    return JSONResponse({"status": "success" if known else "not_found"})
