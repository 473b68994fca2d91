"""The API's certificate: what it says, and if it isn't trusted, what to do."""

import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.config import Config
from agent.errors import AgentError

LOOK_SECONDS = 5.0

_NOT_YET, _EXPIRED, _WRONG_HOST, _WRONG_ADDRESS = 9, 10, 62, 64
"""Of OpenSSL's X509_V_ERR_… (x509_vfy.h)."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What matters of one certificate."""

    subject: str
    issuer: str
    names: str
    """The first DNS names and addresses that it is for."""
    begins: datetime
    ends: datetime

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Certificate":
        """From what `ssl.SSLSocket.getpeercert` and `ssl.SSLContext.get_ca_certs` give."""
        names = [str(value) for kind, value in fields.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}]
        return cls(
            _name(fields.get("subject", ())),
            _name(fields.get("issuer", ())),
            ", ".join(names[:5]) or "no name",
            _time(fields["notBefore"]),
            _time(fields["notAfter"]),
        )

    @property
    def days_left(self) -> float:
        """Negative when it has expired."""
        return (self.ends - datetime.now(UTC)).total_seconds() / 86_400

    def __str__(self) -> str:
        return (
            f"{self.subject} by {self.issuer}, for {self.names}, valid {self.begins:%Y-%m-%d} to {self.ends:%Y-%m-%d}"
        )


def _name(parts: Any) -> str:
    fields = {key: value for part in parts for key, value in part}
    return str(fields.get("commonName") or fields.get("organizationName") or "(no name)")


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def read(path: Path) -> Certificate | None:
    """The first certificate of a PEM file; None if it can't be read.

    The standard library has one reader of certificates outside a connection. It is made for its own tests.
    """
    try:
        return Certificate.of(ssl._ssl._test_decode_cert(str(path)))  # type: ignore[attr-defined]  # noqa: SLF001
    except (AttributeError, OSError, ValueError, KeyError):
        return None


def shown_by(host: str, port: int) -> Certificate | None:
    """The certificate of whoever answers there, trusted or not: nothing is sent. It blocks; None if there is none."""
    try:
        pem = ssl.get_server_certificate((host, port), timeout=LOOK_SECONDS)
    except (OSError, ValueError):
        return None
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(pem)
        file.flush()
        return read(Path(file.name))


def store(config: Config) -> str:
    """Through whom the API is trusted."""
    return "the system's CAs" if config.ca_cert is None else f"KUBENTLY_CA_CERT ({config.ca_cert})"


def untrusted(error: AgentError, code: int, shown: Certificate | None, config: Config) -> AgentError:
    """The same error, with what is known of the certificate, and what to do. `code` is OpenSSL's."""
    hint = error.hint
    if code in {_WRONG_HOST, _WRONG_ADDRESS}:
        hint = "Use one of its names in KUBENTLY_API_URL, or have the certificate made for this name too."
    elif code in {_NOT_YET, _EXPIRED}:
        ca = read(config.ca_cert) if config.ca_cert else None
        clock = f"{datetime.now(UTC):%F %H:%M} UTC"
        hint = f"Whoever runs the API has to renew it. If it is current: this machine's clock says {clock}."
        if ca is not None and ca.days_left < 0:
            hint = f"The CA {ca.subject} in {store(config)} has expired: put the API's current CA into that file."
    about = f": it is {shown}; trusted are {store(config)}." if shown else "."
    return AgentError(f"{error.problem}{about}", hint)
