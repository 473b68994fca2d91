"""Certificates: what they say, read by OpenSSL itself."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: accept a certificate whatever its dates, so that they can be read."""

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What matters of one certificate."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    """The DNS names and addresses that it is for."""
    begins: datetime
    ends: datetime

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Certificate":
        """From what `ssl.SSLSocket.getpeercert` and `ssl.SSLContext.get_ca_certs` give."""
        return cls(
            _name(fields.get("subject", ())),
            _name(fields.get("issuer", ())),
            tuple(str(value) for kind, value in fields.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}),
            _time(fields["notBefore"]),
            _time(fields["notAfter"]),
        )

    def days_left(self, now: datetime) -> float:
        """Negative when it has expired."""
        return (self.ends - now).total_seconds() / 86_400


def _name(parts: Any) -> str:
    fields = {key: value for part in parts for key, value in part}
    return str(fields.get("commonName") or fields.get("organizationName") or "(no name)")


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def day(time: datetime) -> str:
    """A date for people."""
    return f"{time:%Y-%m-%d}"


def trusting(der: bytes) -> ssl.SSLContext:
    """A context that accepts this very certificate, whatever its dates and whoever signed it.

    With it, a certificate that was refused can be looked at. Nothing is ever sent over such a connection.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    context.load_verify_locations(cadata=der)
    return context


def expired_authorities(path: Path, now: datetime) -> list[Certificate]:
    """The CAs in a PEM file that have expired."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    return [c for c in map(Certificate.of, context.get_ca_certs()) if c.ends < now]


def own_certificate(path: Path, key: Path | None) -> Certificate | None:
    """The agent's client certificate, read by letting it play a server in memory; None if that can't be done.

    Raises:
        OSError, ssl.SSLError: the files can't be used.
    """
    first = _PEM.search(path.read_text("utf-8", errors="replace"))
    if first is None:
        return None
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path, key, password="")
    context = trusting(ssl.PEM_cert_to_DER_cert(first.group()))
    towards_server, towards_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = context.wrap_bio(towards_client, towards_server, server_side=False)
    server_end = server.wrap_bio(towards_server, towards_client, server_side=True)
    for end in (client_end, server_end, client_end):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError:  # made for clients alone: fit for its work, but not readable this way
            return None
    fields = client_end.getpeercert()
    return Certificate.of(fields) if fields else None
