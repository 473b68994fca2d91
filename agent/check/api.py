"""The central API: reached step by step, so that the first step that fails is named."""

import json
import time
from email.utils import parsedate_to_datetime

import trio

from agent.check.findings import Area
from agent.check.network import Way, connect, find
from agent.check.tls import check_tls
from agent.config import Config
from agent.errors import AgentError, LinkDown
from agent.humanize import age
from agent.link.answer import Answer
from agent.link.http import Http

CHECKS = ("name", "connection", "TLS", "answer", "clock")

ANSWER_SECONDS = 10.0
CLOCK_SECONDS = 10.0
"""Further apart than this is worth a word. The Date header has whole seconds, and the way there takes its time."""

_QUESTIONS = {"poll": ("GET", "/agent/status"), "stream": ("POST", "/executor/heartbeat")}
"""What is asked with each link: it changes nothing, and takes nothing from an agent that runs."""

_HINTS = {
    401: "The API doesn't know this token. Is it this cluster's, whole, and current? "
    "A token file is read again by itself.",
    403: "The token is known, but not for this cluster: look at CLUSTER_ID, and at what the API has on record for it.",
    404: "There is an HTTP server, but not this API at this path: look at KUBENTLY_API_URL, and whether the API speaks "
    "KUBENTLY_LINK={link} (the other is {other}).",
    407: "The proxy wants a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT.",
    429: "The API asks for fewer requests. The agent waits by itself as long as it is told to.",
}
_ELSEWHERE = "Something else answers in the API's place: an ingress, a proxy, a login page. Look at KUBENTLY_API_URL."


async def check_api(area: Area, config: Config) -> None:
    """From the name to the API's own answer."""
    way = Way.to(config.api_url)
    addresses = await find(area, way)
    if not addresses:
        return
    address = await connect(area, way, addresses)
    if address is None or not await check_tls(area, config, way, address):
        return
    answer = await _ask(area, config)
    if answer is not None:
        _compare_clocks(area, answer)


async def _ask(area: Area, config: Config) -> Answer | None:
    method, path = _QUESTIONS[config.link]
    began = trio.current_time()
    try:
        http = Http(config)
        try:
            answer = await http.request(method, path, seconds=ANSWER_SECONDS, body=b"{}" if method == "POST" else None)
        finally:
            await http.aclose()
    except LinkDown as down:
        area.failed("answer", f"{method} {path}: {down.problem}", _down_hint(down, config))
        return None
    except AgentError as error:
        area.failed("answer", f"{method} {path} can't be sent: {error}", "Correct that variable.")
        return None
    took_ms = (trio.current_time() - began) * 1000
    said = f"{method} {path}: HTTP {answer.status} in {took_ms:.0f} ms"
    if answer.status == 200:
        _read(area, config, answer, said)
    elif answer.status == 404 and config.link == "stream":
        area.warned(
            "answer",
            f"{said}: an API from before heartbeats, or not this API",
            "Whether the token is right shows only when the agent runs: look at its log.",
        )
    else:
        words = f": {answer.words}" if answer.words else ""
        area.failed("answer", f"{said}{words}", _hint(answer.status, config))
    return answer


def _down_hint(down: LinkDown, config: Config) -> str:
    if down.status is not None and 300 <= down.status < 400:
        return "Name the address that it leads to in KUBENTLY_API_URL: the token doesn't go wherever a redirect points."
    if down.status is not None:
        return _ELSEWHERE
    if "CERTIFICATE" in down.problem.upper():
        return "The API wants another client certificate: KUBENTLY_CLIENT_CERT and KUBENTLY_CLIENT_KEY."
    hint = "Connections are taken but not answered: look at the API itself, and at load balancers in front of it."
    if config.api_url.startswith("https:") and config.client_cert is None:
        # With TLS 1.3 a server asks for it after the handshake, and often just ends the connection.
        hint += " If it wants a client certificate: KUBENTLY_CLIENT_CERT and KUBENTLY_CLIENT_KEY."
    return hint


def _hint(status: int, config: Config) -> str:
    if status >= 500:
        return "The API is there but not well. Nothing can be done here: the agent goes on trying, and loses nothing."
    other = "poll" if config.link == "stream" else "stream"
    return _HINTS.get(status, _ELSEWHERE).format(link=config.link, other=other)


def _read(area: Area, config: Config, answer: Answer, said: str) -> None:
    try:
        status = json.loads(answer.body)
    except (ValueError, RecursionError):
        status = None
    if not isinstance(status, dict):
        area.failed("answer", f"{said}, but no JSON object", _ELSEWHERE)
    elif config.link == "poll" and status.get("cluster_id", config.cluster_id) != config.cluster_id:
        area.failed(
            "answer",
            f"{said}, but for cluster {str(status['cluster_id'])[:100]!r}",
            f"The token belongs to that cluster, CLUSTER_ID says {config.cluster_id!r}: correct one of them.",
        )
    elif config.link == "poll":
        session = "active" if status.get("is_active") is True else "idle"
        area.passed("answer", f"{said}, the token is accepted, session {session}")
    else:
        area.passed("answer", f"{said}, the token is accepted")


def _compare_clocks(area: Area, answer: Answer) -> None:
    try:
        theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        area.skip("clock", "not compared: the answer has no Date header")
        return
    ahead = time.time() - theirs
    if abs(ahead) <= CLOCK_SECONDS:
        area.passed("clock", "less than 10 s from the API's")
        return
    area.warned(
        "clock",
        f"{age(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the API's",
        "The agent doesn't depend on it, but times in its log and spool won't match the API's: set the clock (NTP).",
    )
