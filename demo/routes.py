"""The reference API on the wire: who may ask, and the `poll` contract."""

import secrets
from collections.abc import Awaitable, Callable, Sequence

import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from demo import contract, sse
from demo.body import BadBody, Body
from demo.central import ReferenceApi
from demo.record import Answer, LinkName, Seen
from demo.schema import OPENAPI

MOST_AT_ONCE = 10
LONGEST_WAIT_SECONDS = 60
_GONE = Response(status_code=499)  # the client went away before the answer; nobody reads this

Handler = Callable[[ReferenceApi, Request], Awaitable[Response]]


def app_of(api: ReferenceApi, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The routes of both contracts, and more."""
    return Starlette(
        routes=[
            *more,
            Route("/openapi.yaml", openapi),
            Route("/agent/status", _guarded(api, "poll", status)),
            Route("/agent/commands", _guarded(api, "poll", commands)),
            Route("/agent/results", _guarded(api, "poll", results), methods=["POST"]),
            Route("/executor/stream", _guarded(api, "stream", sse.stream)),
            Route("/executor/results", _guarded(api, "stream", executor_results), methods=["POST"]),
            Route("/executor/capabilities", _guarded(api, "stream", sse.capabilities), methods=["POST"]),
            Route("/executor/heartbeat", _guarded(api, "stream", sse.heartbeat), methods=["POST"]),
        ]
    )


async def openapi(request: Request) -> Response:  # noqa: ARG001  # as all handlers
    """The contract, for whoever wants to serve it too."""
    return Response(OPENAPI.read_bytes(), media_type="application/yaml")


def _guarded(api: ReferenceApi, link: LinkName, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        at = trio.current_time()
        try:
            response = await _answer(api, link, handler, request)
        except ClientDisconnect:
            response = _GONE
        agent = request.headers.get("user-agent", "")
        url = request.url
        api.requests.append(Seen(at, request.method, url.path, url.query, response.status_code, agent))
        return response

    return endpoint


async def _answer(api: ReferenceApi, link: LinkName, handler: Handler, request: Request) -> Response:
    interference = await api.interfere(request) if api.interfere else None
    refusal = interference or _refusal(api, link, request)
    if refusal is not None:
        # Read to the end first: to many clients an answer amid an upload looks like a broken connection.
        await _each_chunk(request, lambda _chunk: None)
        return refusal
    return await handler(api, request)


def _refusal(api: ReferenceApi, link: LinkName, request: Request) -> Response | None:
    if link not in api.links:
        return JSONResponse({"detail": "Not Found"}, 404)
    sent = request.headers.get("authorization", "").encode()
    if not secrets.compare_digest(sent, f"Bearer {api.token}".encode()):
        return JSONResponse({"detail": "Invalid executor credentials"}, 401)
    if request.headers.get("x-cluster-id") != api.cluster_id:
        return JSONResponse({"detail": "This token belongs to another cluster, or X-Cluster-ID is missing"}, 401)
    return None


async def status(api: ReferenceApi, request: Request) -> Response:  # noqa: ARG001  # as all handlers
    """GET /agent/status."""
    return JSONResponse(
        {"cluster_id": api.cluster_id, "is_active": api.active, "queue_depth": api.queue_depth},
    )


async def commands(api: ReferenceApi, request: Request) -> Response:
    """GET /agent/commands: what is queued, or the first command that comes within `wait` seconds."""
    asked = request.query_params.get("wait", "0")
    if not asked.isdecimal() or int(asked) > LONGEST_WAIT_SECONDS:
        detail = f"wait: whole seconds from 0 to {LONGEST_WAIT_SECONDS} are wanted"
        api.problems.append(detail)
        return JSONResponse({"detail": detail}, 400)
    taken = api.take(MOST_AT_ONCE)
    if not taken and int(asked):
        with trio.move_on_after(int(asked)):
            while not taken:
                # A poll of an agent that is gone takes nothing: the command waits for the next one.
                await _while_connected(request, api.wait_for_queue)
                taken = api.take(1)
    if not taken:
        return Response(status_code=204)
    return JSONResponse({"commands": [asked.command for asked in taken]})


async def _while_connected(request: Request, waiting: Callable[[], Awaitable[None]]) -> None:
    """Wait, and raise ClientDisconnect if the client goes away meanwhile."""
    gone = False

    async def watch(scope: trio.CancelScope) -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        await waiting()
        nursery.cancel_scope.cancel()
    if gone:
        raise ClientDisconnect


async def results(api: ReferenceApi, request: Request) -> Response:
    """POST /agent/results."""
    return await _result(api, request, "poll")


async def executor_results(api: ReferenceApi, request: Request) -> Response:
    """POST /executor/results."""
    return await _result(api, request, "stream")


async def _result(api: ReferenceApi, request: Request, link: LinkName) -> Response:
    body = Body(api.folder)
    response = _GONE
    try:
        response = await _store(api, request, link, body)
    finally:  # also when the API goes away amid an upload
        if response.status_code != 200:
            body.close()
    return response


async def _store(api: ReferenceApi, request: Request, link: LinkName, body: Body) -> Response:
    await _each_chunk(request, lambda chunk: body.feed(chunk) if body.bytes <= api.max_body_bytes else None)
    if body.bytes > api.max_body_bytes:
        return JSONResponse({"detail": "Request Entity Too Large"}, 413)
    try:
        parsed = body.parse()
    except BadBody as error:
        return _bad(api, link, [str(error)])
    problems = contract.poll_problems(parsed) if link == "poll" else contract.stream_problems(parsed)
    if problems or not isinstance(parsed, dict):
        return _bad(api, link, problems)
    fields = parsed["result"] if link == "poll" else parsed
    command_id = parsed["command_id"]
    if api.store(command_id, Answer(trio.current_time(), link, fields, body)):
        return JSONResponse({"status": "accepted", "command_id": command_id})
    if link == "poll":
        return JSONResponse({"detail": f"Unknown command {command_id}"}, 404)
    return JSONResponse({"detail": "Command was not issued to this cluster"}, 403)


async def _each_chunk(request: Request, take: Callable[[bytes], None]) -> None:
    """Read the body. Starlette's own iterator would be left half-read when the agent goes away."""
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        take(message.get("body", b""))
        more = message.get("more_body", False)


def _bad(api: ReferenceApi, link: LinkName, problems: list[str]) -> Response:
    api.problems.extend(problems)
    return JSONResponse({"detail": problems}, 400 if link == "poll" else 422)
