"""The central API, asked by the agent's own client: how far that came, and what it says if it didn't come through."""

import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import trio

from agent.check.certificate import Certificate, read, shown_by, store, untrusted
from agent.check.findings import Area
from agent.config import Config
from agent.errors import AgentError
from agent.link.answer import ELSEWHERE, Answer, unhappy
from agent.link.connection import Seen
from agent.link.http import Http
from agent.link.proxy import proxy_shown
from agent.link.sse import EventParser

CHECKS = ("name", "connection", "TLS", "answer")

ANSWER_SECONDS = 10.0
SOON_DAYS = 14


async def check_api(area: Area, config: Config) -> None:
    """Ask something that changes nothing and takes nothing from an agent that runs."""
    http = Http(config)
    began = trio.current_time()
    try:
        if config.link == "stream":
            what = "GET /executor/stream"
            await _listen(http)
            words = "it is connected"
        else:
            what = "GET /agent/status"
            answer = await http.request("GET", "/agent/status", seconds=ANSWER_SECONDS)
            words = _status(config, answer)
        took_ms = (trio.current_time() - began) * 1000
    except AgentError as error:
        if await _reached(area, config, http.network.seen, error):
            hint = error.hint
            if http.network.seen.certificate and not config.client_cert and getattr(error, "status", None) is None:
                # With TLS 1.3 a server asks for it after the handshake, and often just ends the connection.
                hint += " If it wants a client certificate: KUBENTLY_CLIENT_CERT and KUBENTLY_CLIENT_KEY."
            area.failed("answer", AgentError(f"{what}: {error.problem}", hint))
        return
    else:
        await _reached(area, config, http.network.seen)
        area.passed("answer", f"{what} in {took_ms:.0f} ms: the token is accepted, {words}")
    finally:
        await http.aclose()


async def _listen(http: Http) -> None:
    """Open the stream and wait until it says that it is connected."""
    stream = await http.open_stream("/executor/stream", media_type="text/event-stream", seconds=ANSWER_SECONDS)
    parser = EventParser()
    try:
        with trio.fail_after(ANSWER_SECONDS):
            while (chunk := await stream.read()) is not None:
                if any(event.name == "connected" for event in parser.feed(chunk)):
                    return
        raise AgentError("the stream ended before it said `connected`.", ELSEWHERE)
    except trio.TooSlowError:
        raise AgentError(
            f"the stream opens, but says nothing within {ANSWER_SECONDS:g} s.",
            "Something between here and the API buffers it: an ingress (nginx: proxy_buffering off) or a proxy.",
        ) from None
    finally:
        await stream.aclose()


def _status(config: Config, answer: Answer) -> str:
    """What the API says of this cluster. Raises AgentError if that isn't what it should be."""
    if answer.status != 200:
        raise unhappy(answer)
    try:
        status = json.loads(answer.body)
    except (ValueError, RecursionError):
        status = None
    if not isinstance(status, dict):
        raise AgentError("HTTP 200, but no JSON object.", ELSEWHERE)
    if status.get("cluster_id", config.cluster_id) != config.cluster_id:
        raise AgentError(
            f"it answers for cluster {str(status['cluster_id'])[:100]!r}.",
            f"The token belongs to that cluster, CLUSTER_ID says {config.cluster_id!r}: correct one of them.",
        )
    return f"session {'active' if status.get('is_active') is True else 'idle'}"


async def _reached(area: Area, config: Config, seen: Seen, error: AgentError | None = None) -> bool:
    """Tell each step on the way to an answer. False if it ended before."""
    host, proxy = urlsplit(config.api_url).hostname or "", proxy_shown(config.api_url)
    what = f"the proxy {proxy}" if proxy else host
    addresses = ", ".join(seen.addresses[:4])
    found = f"{what} is an address, no DNS needed" if addresses == what else f"{what} is {addresses}"
    secure = config.api_url.startswith("https:")
    steps = {
        "name": found if seen.addresses else "",
        "connection": f"to {seen.connected}{' (the proxy)' if proxy else ''}" if seen.connected else "",
        "TLS": seen.tls_version if secure else "not used",
    }
    for check, words in steps.items():
        if not words and error is not None:
            area.failed(check, await _explained(error, config, host) if check == "TLS" else error)
            return False
        if check == "TLS" and not secure:
            area.skip(check, f"not used with {config.api_url}: token and results travel in clear text")
        elif check == "TLS" and seen.certificate:
            _trusted(area, config, seen.tls_version, seen.certificate)
        else:
            area.passed(check, words)
    return True


async def _explained(error: AgentError, config: Config, host: str) -> AgentError:
    """More of a certificate that isn't trusted; any other error as it is."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return error
    shown = None
    if proxy_shown(config.api_url) is None:
        port = urlsplit(config.api_url).port or 443
        shown = await trio.to_thread.run_sync(shown_by, host, port, abandon_on_cancel=True)
    return untrusted(error, cause.verify_code, shown, config)


def _trusted(area: Area, config: Config, version: str, fields: dict[str, Any]) -> None:
    certificate = Certificate.of(fields)
    own = read(config.client_cert) if config.client_cert else None
    words = f"{version}, {certificate}, trusted through {store(config)}"
    if certificate.days_left < SOON_DAYS:
        area.warned("TLS", words, "It expires soon: whoever runs the API has to renew it.")
    elif own is not None and own.days_left < SOON_DAYS:
        area.warned("TLS", words, f"Renew the agent's own certificate in KUBENTLY_CLIENT_CERT: {own}.")
    else:
        area.passed("TLS", words)
