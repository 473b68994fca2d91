"""The central API, asked by the agent's own client: how far a request gets, and why it fails."""

import ssl
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

import trio

from agent.check import Area, Mark
from agent.config import Config
from agent.errors import AgentError
from agent.link.answer import ELSEWHERE, unhappy
from agent.link.http import Http
from agent.link.proxy import proxy_shown
from agent.link.stream import StreamLink


async def check_api(area: Area, config: Config) -> None:
    """Send a request that changes nothing and takes nothing away from a running agent, and say how far it got."""
    area.check = "connection"
    http = Http(config)
    seen, proxy, url = http.network, proxy_shown(config.api_url), urlsplit(config.api_url)
    what, ask = ("GET /executor/stream", _listen) if config.link == "stream" else ("GET /agent/status", _status)
    failure, words = None, ""
    began = trio.current_time()
    async with aclosing(http):
        try:
            words = await ask(http, config)
        except AgentError as error:
            failure = error
    took_ms = (trio.current_time() - began) * 1000
    if failure is not None and not seen.connected:
        raise failure
    area.passed(f"to {f'the proxy {proxy}' if proxy else url.hostname}, at {seen.connected}")
    area.check = "TLS"
    if url.scheme != "https":
        area.found(Mark.SKIPPED, f"not used with {config.api_url}: token and results travel in clear text")
    elif failure is None or seen.certificate:
        _tell_certificate(area, seen.certificate or {})
    elif proxy:
        raise failure
    else:
        trusted = "the system's CAs" if config.ca_cert is None else f"KUBENTLY_CA_CERT ({config.ca_cert})"
        raise await _explained(failure, (url.hostname or "", url.port or 443), trusted)
    area.check = "answer"
    if failure is None:
        area.passed(f"{what} in {took_ms:.0f} ms: the token is accepted, {words}")
        return
    hint = failure.hint
    if seen.certificate and not config.client_cert and getattr(failure, "status", None) is None:
        # With TLS 1.3 a server asks for it after the handshake, and often just ends the connection.
        hint += " If it wants a client certificate: KUBENTLY_CLIENT_CERT and KUBENTLY_CLIENT_KEY."
    raise AgentError(f"{what}: {failure.problem}", hint)


async def _status(http: Http, config: Config) -> str:
    answer = await http.request("GET", "/agent/status", seconds=10.0)
    if answer.status != 200:
        raise unhappy(answer)
    status = answer.said
    if status is None:
        raise AgentError("HTTP 200, but no JSON object.", ELSEWHERE)
    if status.get("cluster_id", config.cluster_id) != config.cluster_id:
        raise AgentError(
            f"it answers for cluster {str(status['cluster_id'])[:100]!r}.",
            f"The token belongs to that cluster, CLUSTER_ID says {config.cluster_id!r}: correct one of them.",
        )
    return f"session {'active' if status.get('is_active') is True else 'idle'}"


async def _listen(http: Http, _: Config) -> str:
    async with aclosing(StreamLink(http)) as link:
        await link.receive(eager=True)
    return "the stream is open"


def _tell_certificate(area: Area, certificate: Mapping[str, Any]) -> None:
    if ssl.cert_time_to_seconds(certificate["notAfter"]) < time.time() + 14 * 86_400:
        area.found(Mark.WARNED, _about(certificate), "It expires soon: whoever runs the API has to renew it.")
    else:
        area.passed(_about(certificate))


async def _explained(error: AgentError, server: tuple[str, int], trusted: str) -> AgentError:
    """With the certificate that `server` shows if that isn't trusted; any other error as it is."""
    fault = error.__context__ and error.__context__.__context__
    untrusted = isinstance(fault, ssl.SSLCertVerificationError)
    shown = await trio.to_thread.run_sync(_shown_by, server) if untrusted else None
    if shown is None:
        return error
    clock = time.strftime("%F %H:%M UTC", time.gmtime())
    return AgentError(
        f"{error.problem}: it is {_about(shown)}; trusted are {trusted}.",
        f"It must be for {server[0]} and, like its CA, valid now ({clock} by this machine's clock). Name its CA, or "
        "the certificate itself, with KUBENTLY_CA_CERT.",
    )


def _shown_by(server: tuple[str, int]) -> Mapping[str, Any] | None:
    """The certificate that the server presents, trusted or not; None if it can't be read. Sends nothing. Blocks."""
    with suppress(AttributeError, OSError, ValueError), NamedTemporaryFile("w") as file:
        file.write(ssl.get_server_certificate(server, timeout=5.0))
        file.flush()
        # The standard library's one reader of certificates outside a connection. It is made for its own tests.
        found: Mapping[str, Any] = ssl._ssl._test_decode_cert(file.name)  # type: ignore[attr-defined]  # noqa: SLF001
        return found
    return None


def _about(certificate: Mapping[str, Any]) -> str:
    """In words, from what `ssl.SSLSocket.getpeercert` gives."""
    names = ", ".join(value for kind, value in certificate.get("subjectAltName", ())[:5]) or "no name"
    dates = f"{certificate['notBefore']} to {certificate['notAfter']}"
    return f"{_name(certificate['subject'])} by {_name(certificate['issuer'])}, for {names}, valid {dates}"


def _name(parts: Any) -> str:
    fields = {key: value for part in parts for key, value in part}
    return str(fields.get("commonName") or fields.get("organizationName") or "(no name)")
