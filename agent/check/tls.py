"""TLS to the API: whether its certificate is to be trusted, and if not, why."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import trio

from agent.check.certificate import Certificate, day, expired_authorities, own_certificate, trusting
from agent.check.findings import Area
from agent.check.network import Way, open_stream, tunnel
from agent.config import Config
from agent.errors import ConfigError
from agent.link.tls import tls_context

HANDSHAKE_SECONDS = 10.0
SOON_DAYS = 14

# OpenSSL's X509_V_ERR_… (x509_vfy.h)
_NOT_YET, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_IN_CHAIN = 9, 10, 18, 19
_UNKNOWN_ISSUERS = frozenset({2, _SELF_SIGNED_IN_CHAIN, 20, 21})
_WRONG_NAMES = frozenset({62, 64})

Handshake = Callable[[ssl.SSLContext], Awaitable[trio.SSLStream[trio.SocketStream]]]


@dataclass(frozen=True, slots=True)
class _Peer:
    config: Config
    way: Way
    address: str
    host: str
    port: int

    async def handshake(self, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
        """A connection of its own, with TLS on it. Raises OSError, ssl.SSLError, ConnectionError."""
        plain = await open_stream(self.address, self.way.port)
        try:
            if self.way.proxy:
                await tunnel(plain, self.way, self.host, self.port)
            stream = trio.SSLStream(plain, context, server_hostname=self.host)
            await stream.do_handshake()
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(plain)
            raise error.__cause__ or ConnectionError("the other side ended the connection") from error
        except BaseException:
            await trio.aclose_forcefully(plain)
            raise
        return stream


async def check_tls(area: Area, config: Config, way: Way, address: str) -> bool:
    """Whether TLS with the API works, or isn't used."""
    parts = urlsplit(config.api_url)
    if parts.scheme != "https":
        area.skip("TLS", f"not used with {config.api_url}: token and results travel in clear text")
        return True
    if way.proxy and way.proxy.startswith("https:"):
        area.skip("TLS", "not looked at apart: the proxy itself is spoken to in TLS")
        return True
    try:
        context = tls_context(config)
    except ConfigError as error:
        area.failed("TLS", error.problem, error.hint)
        return False
    peer = _Peer(config, way, address, parts.hostname or "", parts.port or 443)
    try:
        with trio.fail_after(HANDSHAKE_SECONDS):
            stream = await peer.handshake(context)
    except trio.TooSlowError:
        hint = "The connection is there but no TLS comes: look at load balancers and firewalls that inspect TLS."
        area.failed("TLS", f"no end of the handshake within {HANDSHAKE_SECONDS:g} s", hint)
        return False
    except ssl.SSLCertVerificationError as error:
        area.failed("TLS", *await _distrusted(peer, error))
        return False
    except (OSError, trio.BrokenResourceError) as error:  # ssl.SSLError is an OSError
        area.failed("TLS", *_broken(error))
        return False
    try:
        _trusted(area, config, stream)
    finally:
        await trio.aclose_forcefully(stream)
    return True


def _trusted(area: Area, config: Config, stream: trio.SSLStream[trio.SocketStream]) -> None:
    now = datetime.now(UTC)
    certificate = Certificate.of(stream.getpeercert())
    left = certificate.days_left(now)
    words = (
        f"{stream.version()}, {certificate.subject} by {certificate.issuer}, trusted through {_store(config)}, "
        f"valid until {day(certificate.ends)} ({left:.0f} days)"
    )
    if left < SOON_DAYS:
        area.warned("TLS", words, "The API's certificate expires soon: whoever runs the API has to renew it.")
    elif config.client_cert and (trouble := _own(config, now)):
        area.warned("TLS", words, trouble)
    elif config.ca_cert and (expired := expired_authorities(config.ca_cert, now)):
        area.warned("TLS", words, f"KUBENTLY_CA_CERT still holds the expired {expired[0].subject}: take it out.")
    else:
        area.passed("TLS", words)


def _own(config: Config, now: datetime) -> str | None:
    """What is wrong with the dates of the agent's own certificate."""
    assert config.client_cert is not None  # noqa: S101  # the caller asked
    own = own_certificate(config.client_cert, config.client_key)
    if own is None or (own.days_left(now) >= SOON_DAYS and own.begins <= now):
        return None
    when = f"only from {day(own.begins)}" if own.begins > now else f"until {day(own.ends)}"
    return f"KUBENTLY_CLIENT_CERT, the agent's own certificate {own.subject}, is valid {when}: renew it."


def _store(config: Config) -> str:
    return "the system's CAs" if config.ca_cert is None else f"KUBENTLY_CA_CERT ({config.ca_cert})"


async def _distrusted(peer: _Peer, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """What is wrong with the certificate, and what to do."""
    shown = await _look(peer)
    code, now = error.verify_code, datetime.now(UTC)
    if code in _WRONG_NAMES:
        names = ", ".join(shown.names[:5]) if shown and shown.names else "other names"
        return (
            f"the certificate is for {names}, not for {peer.host}",
            "Use one of its names in KUBENTLY_API_URL, or have the certificate made for this name too.",
        )
    if code == _EXPIRED:
        return _expired(peer, shown, now)
    if code == _NOT_YET:
        begins = day(shown.begins) if shown else "a later day"
        return (
            f"a certificate is valid only from {begins}, and this machine's clock says {now:%Y-%m-%d %H:%M} UTC",
            "Set the node's clock (NTP); if it is right, the API's certificate was made too early.",
        )
    if code == _SELF_SIGNED:
        return (
            f"the certificate of {shown.subject if shown else peer.host} is self-signed",
            "If that is meant so, put this certificate into a file and name it with KUBENTLY_CA_CERT "
            "(kustomize/components/custom-ca). If not, somebody else answers in the API's place.",
        )
    if code in _UNKNOWN_ISSUERS:
        issuer = shown.issuer if shown else "an unknown CA"
        return (
            f"the certificate was signed by {issuer}, which isn't among {_store(peer.config)}",
            "Name that CA's PEM file with KUBENTLY_CA_CERT (kustomize/components/custom-ca). If it is a public CA, "
            "the server doesn't send its intermediate certificate; if nobody knows it, somebody opens TLS on the way.",
        )
    return (
        f"the certificate isn't accepted: {error.verify_message or error.reason}",
        "Whoever runs the API has to put its certificate right.",
    )


def _expired(peer: _Peer, shown: Certificate | None, now: datetime) -> tuple[str, str]:
    if shown is not None and shown.ends < now:
        return (
            f"the certificate of {shown.subject} expired on {day(shown.ends)}, {-shown.days_left(now):.0f} days ago",
            "Whoever runs the API has to renew it. If that can't be, look at this machine's clock: "
            f"it says {now:%Y-%m-%d %H:%M} UTC.",
        )
    expired = expired_authorities(peer.config.ca_cert, now) if peer.config.ca_cert else []
    if expired:
        return (
            f"the CA {expired[0].subject} in {_store(peer.config)} expired on {day(expired[0].ends)}",
            "Put the API's current CA into that file. The agent takes it at its next start.",
        )
    return (
        "a CA between the API's certificate and the trusted ones has expired",
        "Whoever runs the API has to send a current intermediate certificate.",
    )


async def _look(peer: _Peer) -> Certificate | None:
    """The certificate that was refused, over connections on which nothing is sent; None if it can't be seen."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        with trio.fail_after(HANDSHAKE_SECONDS):
            stream = await peer.handshake(blind)
            der = stream.getpeercert(binary_form=True)
            await trio.aclose_forcefully(stream)
            stream = await peer.handshake(trusting(der))
            fields = stream.getpeercert()
            await trio.aclose_forcefully(stream)
    except (OSError, trio.TooSlowError, trio.BrokenResourceError):
        return None
    return Certificate.of(fields)


_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""Which of the two a connection raises that ends amid the handshake depends on Python's version."""


def _broken(error: Exception) -> tuple[str, str]:
    reason = getattr(error, "reason", None) or ""
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return "what answers there doesn't speak TLS", "Is it the port of plain http? Look at KUBENTLY_API_URL."
    if reason in {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"}:
        return "the API speaks no TLS of version 1.2 or later", "Whoever runs the API has to switch on TLS 1.2 or 1.3."
    if "CERTIFICATE_REQUIRED" in reason or "BAD_CERTIFICATE" in reason or "HANDSHAKE_FAILURE" in reason:
        return (
            f"the API ended the handshake: {reason.replace('_', ' ').lower()}",
            "It may want a client certificate: KUBENTLY_CLIENT_CERT and KUBENTLY_CLIENT_KEY.",
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, _CUT_OFF):
        return f"the handshake failed: {error}", "Whoever runs the API can see why in its TLS log."
    words = "" if isinstance(error, _CUT_OFF) else f": {error}"
    return (
        f"the connection broke off in the handshake{words}",
        "A firewall or a proxy that inspects TLS does this, and a load balancer without a backend.",
    )
