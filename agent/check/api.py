"""The central API, asked by the agent's own client: how far a request gets, and why it fails."""

import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

import trio

from agent.check import Area, Mark
from agent.config import Config
from agent.errors import AgentError
from agent.link.answer import ELSEWHERE, unhappy
from agent.link.http import Http
from agent.link.network import Network
from agent.link.proxy import proxy_shown
from agent.link.stream import StreamLink

ANSWER_SECONDS = 10.0
_SOON_SECONDS = 14 * 86_400
_WRONG_TIME, _WRONG_NAME = {9, 10}, {62, 64}  # OpenSSL's X509_V_ERR_… (x509_vfy.h)

Certificate = Mapping[str, Any]
"""As `ssl.SSLSocket.getpeercert` gives it."""


async def check_api(area: Area, config: Config) -> None:
    """Send a request that changes nothing and takes nothing away from a running agent."""
    area.begins("connection")
    http = Http(config)
    what, ask = ("GET /executor/stream", _listen) if config.link == "stream" else ("GET /agent/status", _status)
    failure, words = None, ""
    began = trio.current_time()
    try:
        words = await ask(http, config)
    except AgentError as error:
        failure = error
    finally:
        await http.aclose()
    took_ms = (trio.current_time() - began) * 1000
    await _way(area, config, http.network, failure)
    area.begins("answer")
    if failure is None:
        area.passed(f"{what} in {took_ms:.0f} ms: the token is accepted, {words}")
        return
    hint = failure.hint
    if http.network.certificate and not config.client_cert and getattr(failure, "status", None) is None:
        # With TLS 1.3 a server asks for it after the handshake, and often just ends the connection.
        hint += " If it wants a client certificate: KUBENTLY_CLIENT_CERT and KUBENTLY_CLIENT_KEY."
    raise AgentError(f"{what}: {failure.problem}", hint)


async def _status(http: Http, config: Config) -> str:
    answer = await http.request("GET", "/agent/status", seconds=ANSWER_SECONDS)
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
    link = StreamLink(http)
    try:
        await link.receive(eager=True)
    finally:
        await link.aclose()
    return "the stream is open"


async def _way(area: Area, config: Config, seen: Network, failure: AgentError | None) -> None:
    """Report the connection and its TLS, up to what failed."""
    url, proxy = urlsplit(config.api_url), proxy_shown(config.api_url)
    if failure is not None and not seen.connected:
        raise failure
    area.passed(f"to {f'the proxy {proxy}' if proxy else url.hostname}, at {seen.connected}")
    area.begins("TLS")
    if url.scheme != "https":
        area.found(Mark.SKIPPED, f"not used with {config.api_url}: token and results travel in clear text")
        return
    trusted = "the system's CAs" if config.ca_cert is None else f"KUBENTLY_CA_CERT ({config.ca_cert})"
    if failure is not None and not seen.certificate:
        server = None if proxy else (url.hostname or "", url.port or 443)
        raise await _explained(failure, server, trusted)
    certificate = seen.certificate or {}
    words = f"{seen.tls_version}, {_about(certificate)}, trusted through {trusted}"
    if ssl.cert_time_to_seconds(certificate["notAfter"]) < time.time() + _SOON_SECONDS:
        area.found(Mark.WARNED, words, "It expires soon: whoever runs the API has to renew it.")
    else:
        area.passed(words)


async def _explained(error: AgentError, server: tuple[str, int] | None, trusted: str) -> AgentError:
    """With the certificate that `server` shows if it isn't trusted, and what to do; any other error as it is."""
    fault = error.__context__ and error.__context__.__context__
    if not isinstance(fault, ssl.SSLCertVerificationError):
        return error
    hint, about = error.hint, "."
    if fault.verify_code in _WRONG_NAME:
        hint = "Use one of its names in KUBENTLY_API_URL, or have the certificate made for this name too."
    elif fault.verify_code in _WRONG_TIME:
        clock = time.strftime("%F %H:%M UTC", time.gmtime())
        hint = f"Renew it. If it is current: its CA in {trusted} isn't, or this machine's clock: it says {clock}."
    if server and (shown := await trio.to_thread.run_sync(_shown_by, server)):
        about = f": it is {_about(shown)}; trusted are {trusted}."
    return AgentError(error.problem + about, hint)


def _shown_by(server: tuple[str, int]) -> Certificate | None:
    """The certificate that the server presents, trusted or not; None if it can't be read. Sends nothing. Blocks."""
    with suppress(AttributeError, OSError, ValueError), NamedTemporaryFile("w") as file:
        file.write(ssl.get_server_certificate(server, timeout=5.0))
        file.flush()
        # The standard library's one reader of certificates outside a connection. It is made for its own tests.
        found: Certificate = ssl._ssl._test_decode_cert(file.name)  # type: ignore[attr-defined]  # noqa: SLF001
        return found
    return None


def _about(certificate: Certificate) -> str:
    names = ", ".join(value for kind, value in certificate.get("subjectAltName", ())[:5]) or "no name"
    dates = f"{certificate['notBefore']} to {certificate['notAfter']}"
    return f"{_name(certificate['subject'])} by {_name(certificate['issuer'])}, for {names}, valid {dates}"


def _name(parts: Any) -> str:
    fields = {key: value for part in parts for key, value in part}
    return str(fields.get("commonName") or fields.get("organizationName") or "(no name)")
