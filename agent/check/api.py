"""The central API, asked by the agent's own client: how far a request gets, and why it fails."""

import ssl
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio

from agent.check.findings import Area, Mark
from agent.config import Config
from agent.errors import AgentError
from agent.link.answer import ELSEWHERE, unhappy
from agent.link.http import Http
from agent.link.network import Network
from agent.link.proxy import proxy_shown
from agent.link.stream import StreamLink
from agent.link.tls import tls_context

ANSWER_SECONDS = 10.0
_SOON_DAYS = 14
_NOT_YET, _EXPIRED, _WRONG_HOST, _WRONG_ADDRESS = 9, 10, 62, 64  # OpenSSL's X509_V_ERR_… (x509_vfy.h)

Certificate = Mapping[str, Any]
"""As `ssl.SSLSocket.getpeercert` gives it."""


async def check_api(area: Area, config: Config) -> None:
    """Send a request that changes nothing and takes nothing away from a running agent."""
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
    """Report each step on the way to an answer, up to the one that failed."""
    host, proxy = urlsplit(config.api_url).hostname or "", proxy_shown(config.api_url)
    what = f"the proxy {proxy}" if proxy else host
    addresses = ", ".join(seen.addresses[:4])
    area.begins("name")
    if failure is not None and not addresses:
        raise failure
    area.passed(f"{what} is an address, no DNS needed" if addresses == what else f"{what} is {addresses}")
    area.begins("connection")
    if failure is not None and not seen.connected:
        raise failure
    area.passed(f"to {seen.connected}{' (the proxy)' if proxy else ''}")
    area.begins("TLS")
    if not config.api_url.startswith("https:"):
        area.found(Mark.SKIPPED, f"not used with {config.api_url}: token and results travel in clear text")
        return
    if failure is not None and not seen.certificate:
        raise await _explained(failure, config, host)
    shown: Certificate = seen.certificate or {}
    own = _read(config.client_cert) if config.client_cert else None
    words = f"{seen.tls_version}, {_about(shown)}, trusted through {_store(config)}"
    if _days_left(shown) < _SOON_DAYS:
        area.found(Mark.WARNED, words, "It expires soon: whoever runs the API has to renew it.")
    elif own is not None and _days_left(own) < _SOON_DAYS:
        area.found(Mark.WARNED, words, f"Renew the agent's own certificate in KUBENTLY_CLIENT_CERT: {_about(own)}.")
    else:
        area.passed(words)


async def _explained(error: AgentError, config: Config, host: str) -> AgentError:
    """The details of a certificate that isn't trusted, and what to do; any other error as it is."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return error
    hint = error.hint
    if cause.verify_code in {_WRONG_HOST, _WRONG_ADDRESS}:
        hint = "Use one of its names in KUBENTLY_API_URL, or have the certificate made for this name too."
    elif cause.verify_code in {_NOT_YET, _EXPIRED}:
        clock = time.strftime("%F %H:%M UTC", time.gmtime())
        hint = f"Whoever runs the API has to renew it. If it is current: this machine's clock says {clock}."
        if old := [ca for ca in tls_context(config).get_ca_certs() if config.ca_cert and _days_left(ca) < 0]:
            hint = f"The CA {_name(old[0]['subject'])} in {_store(config)} has expired: put the API's current CA there."
    about = "."
    port = urlsplit(config.api_url).port or 443
    if not proxy_shown(config.api_url) and (shown := await trio.to_thread.run_sync(_shown_by, host, port)):
        about = f": it is {_about(shown)}; trusted are {_store(config)}."
    return AgentError(error.problem + about, hint)


def _shown_by(host: str, port: int) -> Certificate | None:
    """The certificate that the server presents, trusted or not; None if there is none. Sends nothing. Blocks."""
    try:
        pem = ssl.get_server_certificate((host, port), timeout=5.0)
    except (OSError, ValueError):
        return None
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(pem)
        file.flush()
        return _read(Path(file.name))


def _read(path: Path) -> Certificate | None:
    """The first certificate of a PEM file; None if it can't be read.

    The standard library has one reader of certificates outside a connection. It is made for its own tests.
    """
    try:
        found: Certificate = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]  # noqa: SLF001
    except (AttributeError, OSError, ValueError):
        return None
    return found


def _about(certificate: Certificate) -> str:
    names = ", ".join(value for kind, value in certificate.get("subjectAltName", ())[:5]) or "no name"
    dates = f"{certificate['notBefore']} to {certificate['notAfter']}"
    return f"{_name(certificate['subject'])} by {_name(certificate['issuer'])}, for {names}, valid {dates}"


def _name(parts: Any) -> str:
    fields = {key: value for part in parts for key, value in part}
    return str(fields.get("commonName") or fields.get("organizationName") or "(no name)")


def _days_left(certificate: Certificate) -> float:
    """Negative when it has expired."""
    return (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86_400


def _store(config: Config) -> str:
    """Which CAs the API is trusted by."""
    return "the system's CAs" if config.ca_cert is None else f"KUBENTLY_CA_CERT ({config.ca_cert})"
