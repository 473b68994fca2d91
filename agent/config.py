"""The agent's configuration: environment variables in, one frozen `Config` out, or every mistake at once.

`SETTINGS` is the one table of all variables; README's table and `kubently-agent run --help` are made from it.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from agent.errors import ConfigError
from agent.settings import LOOPBACK, SETTINGS, STREAM_ONLY, Setting

REFUSED = frozenset({"KUBENTLY_SSL_VERIFY", "KUBENTLY_WHITELIST_CONFIG"})
"""Variables of Kubently's own executor that mustn't be overlooked."""

_OF_A_SERVICE = re.compile("_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT(_|$)")

LinkName = Literal["poll", "stream"]


@dataclass(frozen=True, slots=True)
class Config:
    """All that the agent is told from outside, checked. Bytes are bytes, times are seconds."""

    api_url: str
    """Without a slash at its end."""
    cluster_id: str
    token: str | None = field(repr=False)
    """The token itself, if it was given in the environment; else it is in `token_file`."""
    token_file: Path | None
    log_level: str
    log_format: str | None
    link: LinkName
    spool_path: Path
    spool_max_bytes: int
    retention_seconds: float
    executors: int
    max_output_bytes: int
    command_timeout_max: float
    kubectl: str
    kubectl_folder: Path | None
    kubeconfig: Path | None
    policy_file: Path | None
    ca_cert: Path | None
    client_cert: Path | None
    client_key: Path | None
    allow_http: bool
    health_address: tuple[str, int]
    drain_seconds: float
    heartbeat_seconds: float
    report_capabilities: bool

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read and check all variables.

        Raises:
            ConfigError: with one sentence for each mistake, each naming its variable and what would be right.
        """
        values, problems = _read(environ)
        for check in (_token, _transport, _certificates, _spool, _refused_names):
            problems.extend(check(values, environ))
        if problems:
            raise ConfigError(problems)
        return cls(**values)

    @property
    def kubectl_home(self) -> Path:
        """The writable folder that is kubectl's own: cache, kubeconfig, working folder."""
        return self.kubectl_folder or self.spool_path.parent / "kubectl"

    def effective(self) -> dict[str, Any]:
        """What a log may show: every variable but the token."""
        shown: dict[str, Any] = {}
        for setting in SETTINGS:
            value = getattr(self, setting.field)
            if setting.field == "token":
                shown[setting.name] = None if value is None else "(set)"
            elif setting.field == "health_address":
                shown[setting.name] = ":".join(map(str, value))
            else:
                shown[setting.name] = str(value) if isinstance(value, Path) else value
        return shown


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like the agent's and aren't, such as misspelt ones. Those that Kubernetes sets for a Service
    aren't meant.
    """
    known = {setting.name for setting in SETTINGS} | REFUSED
    return sorted(
        name
        for name in environ
        if name.startswith("KUBENTLY_") and name not in known and not _OF_A_SERVICE.search(name)
    )


def spool_path(environ: Mapping[str, str]) -> Path:
    """Where the spool is, for the commands that need nothing else of the configuration."""
    setting = next(s for s in SETTINGS if s.field == "spool_path")
    return Path(environ.get(setting.name) or str(setting.default))


Values = dict[str, Any]


def _read(environ: Mapping[str, str]) -> tuple[Values, list[str]]:
    values: Values = {}
    problems: list[str] = []
    for setting in SETTINGS:
        text = environ.get(setting.name, "").strip() or setting.default
        try:
            values[setting.field] = None if text is None else setting.read(_bare(text))
        except ValueError as error:
            values[setting.field] = None
            problems.append(_sentence(setting, text, error))
        else:
            if text is None and setting.required:
                problems.append(f"{setting.name} is not set. {setting.example}")
    return values, problems


def _bare(text: str) -> str:
    """The same text, if it isn't in quotes, as a file of variables that no shell reads may have it."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        raise ValueError("is in quotes, and they would be part of it. Leave them away.")
    return text


def _sentence(setting: Setting, text: str | None, error: ValueError) -> str:
    shown = "" if setting.secret else f" {_without_password(str(text))!r}"
    return f"{setting.name}:{shown} {error}"


def _without_password(text: str) -> str:
    """What a URL has between its scheme and an @ is nobody's business."""
    before, at, after = text.rpartition("@")
    return f"{before[: before.find('//') + 2] if '//' in before else ''}…@{after}" if at else text


def _token(values: Values, environ: Mapping[str, str]) -> list[str]:
    given = [name for name in ("KUBENTLY_TOKEN", "KUBENTLY_TOKEN_FILE") if environ.get(name, "").strip()]
    if not given:
        return [
            "KUBENTLY_TOKEN or KUBENTLY_TOKEN_FILE is not set. One of them must give this cluster's token for the API."
        ]
    if len(given) == 2:
        return [
            "KUBENTLY_TOKEN and KUBENTLY_TOKEN_FILE are both set. Unset one: the agent can't know which is current."
        ]
    return _readable("KUBENTLY_TOKEN_FILE", values["token_file"], check=_token_text)


def _token_text(text: str) -> str | None:
    token = text.strip()
    if not token:
        return "is empty. It must hold this cluster's token."
    if token.startswith("\ufeff"):
        return "begins with a byte order mark, as some editors write it. Save it as plain ASCII."
    if not token.isascii() or not token.isprintable() or " " in token:
        return "doesn't hold a token: one word of ASCII without spaces is expected."
    if token[0] in "'\"" and token[-1] == token[0]:
        return "holds a token in quotes, and they would be part of it. Leave them away."
    return None


def _transport(values: Values, _: Mapping[str, str]) -> list[str]:
    url = values["api_url"]
    if url is None:
        return []
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in LOOPBACK or values["allow_http"]:
        return []
    return [
        f"KUBENTLY_API_URL: {url!r} would send the token in clear text. Use https://, or set KUBENTLY_ALLOW_HTTP=true "
        "if the network between is trusted."
    ]


def _certificates(values: Values, _: Mapping[str, str]) -> list[str]:
    cert, key = values["client_cert"], values["client_key"]
    problems = _readable("KUBENTLY_CA_CERT", values["ca_cert"], check=_certificate)
    problems += _readable("KUBENTLY_CLIENT_CERT", cert, check=_certificate if key else _certificate_and_key)
    problems += _readable("KUBENTLY_CLIENT_KEY", key, check=_key)
    if key and not cert:
        problems.append("KUBENTLY_CLIENT_KEY is set without KUBENTLY_CLIENT_CERT. Set both, or neither.")
    problems += _readable("KUBENTLY_KUBECONFIG", values["kubeconfig"])
    problems += _readable("KUBENTLY_POLICY_FILE", values["policy_file"])
    return problems


def _certificate(text: str) -> str | None:
    if "CERTIFICATE-----" in text:
        return None
    if "-----BEGIN " in text:
        return "holds no certificate. Its PEM has a line '-----BEGIN CERTIFICATE-----'; this may be a key."
    return "isn't a PEM file: it holds no line '-----BEGIN CERTIFICATE-----'."


def _key(text: str) -> str | None:
    if "PRIVATE KEY-----" not in text:
        return "holds no key. Its PEM has a line '-----BEGIN PRIVATE KEY-----'."
    if "ENCRYPTED" in text:
        return "has a passphrase, and nobody is there to type it. Take it away: openssl pkey -in FILE -out NEW."
    return None


def _certificate_and_key(text: str) -> str | None:
    if (problem := _certificate(text)) or "PRIVATE KEY-----" in text:
        return problem or _key(text)
    return "holds a certificate and no key. Name the key's file with KUBENTLY_CLIENT_KEY."


def _readable(name: str, path: Path | None, check: Callable[[str], str | None] | None = None) -> list[str]:
    if path is None:
        return []
    try:
        problem = (check or (lambda _: None))(path.read_text("utf-8", errors="replace"))
    except OSError as error:
        return [f"{name}: {str(path)!r} can't be read: {error.strerror}. Name a file that user {os.getuid()} may read."]
    return [f"{name}: {str(path)!r} {problem}"] if problem else []


def _spool(values: Values, _: Mapping[str, str]) -> list[str]:
    path, most, output = values["spool_path"], values["spool_max_bytes"], values["max_output_bytes"]
    problems = []
    if path is not None:
        folder = path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problems.append(
                f"KUBENTLY_SPOOL_PATH: the folder {str(folder)!r} can't be made: {error.strerror}. "
                "Mount a writable volume there."
            )
        else:
            if path.exists() and not path.is_file():
                problems.append(f"KUBENTLY_SPOOL_PATH: {str(path)!r} is no file. Name the file itself: …/spool.db.")
            if not os.access(folder, os.W_OK | os.X_OK):
                problems.append(
                    f"KUBENTLY_SPOOL_PATH: the folder {str(folder)!r} can't be written by user {os.getuid()}. "
                    "Mount a writable volume there (in Kubernetes: fsGroup)."
                )
    if most and output and output * 2 > most:
        problems.append(
            f"KUBENTLY_MAX_OUTPUT_BYTES: {output} is more than half of KUBENTLY_SPOOL_MAX_BYTES ({most}). "
            "One output must fit the spool beside another."
        )
    return problems


def _refused_names(_: Values, environ: Mapping[str, str]) -> list[str]:
    problems = []
    verify = environ.get("KUBENTLY_SSL_VERIFY", "").strip().lower()
    if verify in {"false", "0", "no", "off"}:
        problems.append(
            "KUBENTLY_SSL_VERIFY: certificates are always verified, or anybody between could drive kubectl. "
            "Name your own CA with KUBENTLY_CA_CERT, and unset KUBENTLY_SSL_VERIFY."
        )
    if environ.get("KUBENTLY_WHITELIST_CONFIG"):
        problems.append(
            "KUBENTLY_WHITELIST_CONFIG: the file of Kubently's own executor isn't read, and without it more might run "
            "here than it allows. Write what is to be narrower into KUBENTLY_POLICY_FILE, and unset this."
        )
    if environ.get("KUBENTLY_LINK", "poll").strip().lower() == "poll":
        problems += [
            f"{name} has no meaning with KUBENTLY_LINK=poll. Unset it, or set KUBENTLY_LINK=stream."
            for name in STREAM_ONLY
            if environ.get(name)
        ]
    return problems
