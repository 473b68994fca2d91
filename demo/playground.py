"""What `make playground` keeps up until Ctrl-C: the API, the sample cluster and an agent, to ask things by curl."""

import json
import shlex

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from demo.api import ReferenceApi
from demo.record import Answer
from demo.story.screen import Screen, shown_path
from demo.story.stage import Options, Stage, run
from demo.story.story import query

_PATIENCE_SECONDS = 60.0
_SEARCH = {"tool": "log_search", "request": {"namespace": "shop", "selector": "app=web", "query": "ERROR"}}


async def playground(options: Options, screen: Screen) -> int:
    """Until Ctrl-C; returns the exit code."""
    found: list[ReferenceApi] = []

    async def ask(request: Request) -> Response:
        return await _asked(found[0], request)

    async def play(stage: Stage) -> bool:
        found.append(stage.api)
        await stage.agent.start()
        _explain(stage)
        await stage.ended()
        return False

    return await run(options, screen, play, [Route("/ask", ask, methods=["POST"])])


def _explain(stage: Stage) -> None:
    screen, ask = stage.screen, f"   curl -s {stage.api.url}/ask -d"
    screen.line()
    screen.say(
        f"The API is at {stage.api.url}, and an agent (process {stage.agent.pid}) asks it for work. Ctrl-C ends it."
    )
    screen.line()
    screen.say("Ask the cluster something:")
    screen.line(f"{ask} 'get pods -A'", "bold")
    if stage.cluster:
        screen.line(f"{ask} 'get deploy payments -n shop -o yaml'", "bold")
        screen.line(f"{ask} {shlex.quote(json.dumps(_SEARCH))}", "bold")
    screen.say("See what the agent did:")
    screen.line(f"   {query(stage, 'recent', '-box')}", "bold")
    screen.line(f"   tail {shlex.quote(shown_path(stage.agent.log))}", "bold")
    screen.say("Ask without the agent, or be the agent (docs/api.md):")
    screen.line(f"   kubectl --kubeconfig {shlex.quote(shown_path(stage.kubeconfig))} get pods -A")
    screen.line(f"   API={stage.api.url} TOKEN={stage.api.token}")
    screen.line()


async def _asked(api: ReferenceApi, request: Request) -> Response:
    """`get pods`, or a command as JSON; the answer as text."""
    text = (await request.body()).decode(errors="replace").strip()
    if request.url.hostname != "127.0.0.1":  # a page in somebody's browser, by a name that leads here
        return PlainTextResponse("Ask by the address.\n", 403)
    if "stream" in api.links and not api.listeners:
        return PlainTextResponse("The agent's stream isn't open now.\n", 503)
    try:
        command_id = await _sent(api, text)
    except (ValueError, KeyError, TypeError) as error:
        return PlainTextResponse(f"Ask as in 'get pods -A', or with JSON as in docs/api.md: {error}\n", 400)
    with trio.move_on_after(_PATIENCE_SECONDS):
        return PlainTextResponse(_shown(await api.result(command_id)))
    return PlainTextResponse("The agent hasn't answered yet.\n", 504)


async def _sent(api: ReferenceApi, text: str) -> str:
    if not text.startswith("{"):
        words = shlex.split(text)
        return await api.ask(words[words[:1] == ["kubectl"] :])
    command = json.loads(text)
    return await (api.search_logs(command["request"]) if "request" in command else api.ask(command["args"]))


def _shown(answer: Answer) -> str:
    warnings = answer.result.get("warnings")
    parts = (answer.output, warnings if warnings != answer.output else "", answer.error)
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part)
