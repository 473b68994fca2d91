"""The API's certificate: what it says, and if it isn't trusted, why."""

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

_EXPIRED = 10
_SAME = {2: 20, 19: 20, 21: 20, 64: 62}
_TROUBLES = {
    9: (
        "the certificate of {subject} is valid only from {begins}, and this machine's clock says {clock}.",
        "Set the node's clock (NTP); if it is right, the API's certificate was made too early.",
    ),
    _EXPIRED: (
        "the certificate of {subject} expired on {ends}.",
        "Whoever runs the API has to renew it. If it is current, this machine's clock is wrong: it says {clock}.",
    ),
    18: (
        "the certificate of {subject} is self-signed.",
        "If that is meant so, put this certificate into a file and name it with KUBENTLY_CA_CERT "
        "(kustomize/components/custom-ca). If not, somebody else answers in the API's place.",
    ),
    20: (
        "the certificate was signed by {issuer} that isn't trusted through {store}.",
        "Name that CA's PEM file with KUBENTLY_CA_CERT (kustomize/components/custom-ca). If it is a public CA, "
        "the server doesn't send its intermediate certificate; if nobody knows it, somebody opens TLS on the way.",
    ),
    62: (
        "the certificate is for {names}, not for {host}.",
        "Use one of its names in KUBENTLY_API_URL, or have the certificate made for this name too.",
    ),
}
"""By OpenSSL's X509_V_ERR_… (x509_vfy.h)."""
_CA_EXPIRED = (
    "the CA {subject} in {store} expired on {ends}.",
    "Put the API's current CA into that file.",
)
_OTHER_CA_EXPIRED = (
    "a CA between the API's certificate and the trusted ones has expired.",
    "Whoever runs the API has to send a current intermediate certificate.",
)
_ANYTHING = ("the certificate isn't accepted: {words}.", "Whoever runs the API has to put its certificate right.")


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
            ", ".join(names[:5]) or "other names",
            _time(fields["notBefore"]),
            _time(fields["notAfter"]),
        )

    def days_left(self) -> float:
        """Negative when it has expired."""
        return (self.ends - datetime.now(UTC)).total_seconds() / 86_400


def _name(parts: Any) -> str:
    fields = {key: value for part in parts for key, value in part}
    return str(fields.get("commonName") or fields.get("organizationName") or "(no name)")


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def day(time: datetime) -> str:
    """A date for people."""
    return f"{time:%Y-%m-%d}"


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


def expired_authority(path: Path | None) -> Certificate | None:
    """A CA in a PEM file that has expired."""
    if path is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    return next((c for c in map(Certificate.of, context.get_ca_certs()) if c.days_left() < 0), None)


def store(config: Config) -> str:
    """Through whom the API is trusted."""
    return "the system's CAs" if config.ca_cert is None else f"KUBENTLY_CA_CERT ({config.ca_cert})"


def untrusted(error: ssl.SSLCertVerificationError, shown: Certificate | None, config: Config, host: str) -> AgentError:
    """What is wrong with the certificate that was shown, and what to do."""
    code = _SAME.get(error.verify_code, error.verify_code)
    problem, hint = _TROUBLES.get(code, _ANYTHING)
    about = shown
    if code == _EXPIRED and (shown is None or shown.days_left() > 0):
        about = expired_authority(config.ca_cert)
        problem, hint = _CA_EXPIRED if about else _OTHER_CA_EXPIRED
    fields = {
        "subject": about.subject if about else host,
        "issuer": about.issuer if about else "a CA",
        "names": about.names if about else "other names",
        "begins": day(about.begins) if about else "a later day",
        "ends": day(about.ends) if about else "an earlier day",
        "clock": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "store": store(config),
        "words": error.verify_message or error.reason,
        "host": host,
    }
    return AgentError(problem.format(**fields), hint.format(**fields))
