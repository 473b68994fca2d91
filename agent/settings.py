"""Every environment variable that the agent knows, in one table, with how its text becomes a value.

A reader returns the value or raises ValueError with the rest of a sentence that says what would be right.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts to which the token may travel in clear text: it doesn't leave the machine."""

STREAM_ONLY = ("KUBENTLY_HEARTBEAT_INTERVAL", "KUBENTLY_REPORT_CAPABILITIES")
"""Variables that only the stream link reads."""

_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable: its name, the field of `Config` that it fills, its default, its reader, and what it means."""

    name: str
    field: str
    default: str | None
    read: Callable[[str], Any]
    meaning: str
    required: bool = False
    secret: bool = False
    example: str = ""


_API = "For example: https://api.example.com"


def _api_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:  # Python's own words are about brackets and casts
        raise ValueError(
            f"isn't a URL: after the host comes nothing, a path, or ':' and a port up to 65535. {_API}"
        ) from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"has no http:// or https:// in front. {_API}")
    if not host:
        raise ValueError(f"names no host. {_API}")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password: the token goes into KUBENTLY_TOKEN_FILE.")
    if parts.query or parts.fragment:
        raise ValueError("must end with the host or a path: no '?' and no '#'.")
    if port == 0:
        raise ValueError(f"names port 0, where nothing can be. {_API}")
    if not text.isascii() or any(c.isspace() for c in text):
        raise ValueError("holds a space or a letter beyond ASCII. A host with other letters has a name with xn-- too.")
    if any(not 0 < len(label) < 64 for label in host.rstrip(".").split(".")):
        raise ValueError("names a host that can't be: there are 1 to 63 letters between two dots.")
    return text.rstrip("/")


def _word(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 253:
        raise ValueError("must be one word of at most 253 ASCII characters: it travels in an HTTP header.")
    return text


def _token(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be one word of ASCII: it travels in an HTTP header.")
    return text


def _one_of(*words: str) -> Callable[[str], str]:
    known = {word.lower(): word for word in words}

    def read(text: str) -> str:
        if text.lower() not in known:
            raise ValueError(f"is none of {', '.join(words)}.")
        return known[text.lower()]

    return read


def _flag(text: str) -> bool:
    if text.lower() in {"true", "1", "yes", "on"}:
        return True
    if text.lower() in {"false", "0", "no", "off"}:
        return False
    raise ValueError("is neither true nor false.")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}.")
        return int(text)

    return read


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        problem = ValueError(f"must be a number of seconds from {low:g} to {high:g}.")
        try:
            value = float(text)
        except ValueError:
            raise problem from None
        if not low <= value <= high:  # false for NaN too
            raise problem
        return value

    return read


def _bytes(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number, unit = (text[:-2], _UNITS[text[-2:]]) if text[-2:] in _UNITS else (text, 1)
        if not (number.isascii() and number.isdigit()) or not low <= int(number) * unit <= high:
            raise ValueError(
                f"must be a number of bytes from {_human(low)} to {_human(high)}, such as 256Mi or 1048576."
            )
        return int(number) * unit

    return read


def _human(count: int) -> str:
    unit, size = next(((u, s) for u, s in reversed(_UNITS.items()) if count % s == 0), ("", 1))
    return f"{count // size}{unit}"


def _path(text: str) -> Path:
    if "\0" in text:
        raise ValueError("holds a NUL character.")
    return Path(text)


def _absolute(text: str) -> Path:
    return _path(text).absolute()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not host or not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be ADDRESS:PORT, such as 0.0.0.0:8080 or [::]:8080.")
    return host.strip("[]"), int(port)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "KUBENTLY_API_URL",
        "api_url",
        None,
        _api_url,
        "The central API.",
        required=True,
        example="It must name the central API, such as https://api.example.com.",
    ),
    Setting(
        "CLUSTER_ID",
        "cluster_id",
        None,
        _word,
        "This cluster's name at the API.",
        required=True,
        example="It must give this cluster's name at the API, such as prod-eu-1.",
    ),
    Setting(
        "KUBENTLY_TOKEN",
        "token",
        None,
        _token,
        "This cluster's token. A file is better: it can be rotated.",
        secret=True,
    ),
    Setting(
        "KUBENTLY_TOKEN_FILE",
        "token_file",
        None,
        _path,
        "A file that holds the token; read again when it changes and after a 401.",
    ),
    Setting("LOG_LEVEL", "log_level", "INFO", _one_of("DEBUG", "INFO", "WARNING", "ERROR"), "How much is logged."),
    Setting(
        "LOG_FORMAT",
        "log_format",
        None,
        _one_of("json", "text"),
        "`json` or `text`; without it text on a terminal and JSON elsewhere.",
    ),
    Setting(
        "KUBENTLY_LINK",
        "link",
        "poll",
        _one_of("poll", "stream"),
        "How commands arrive: long polling, or the event stream of Kubently 2.x.",
    ),
    Setting(
        "KUBENTLY_SPOOL_PATH",
        "spool_path",
        "/var/lib/kubently/spool.db",
        _absolute,
        "The spool; its folder must be writable and the agent's own.",
    ),
    Setting(
        "KUBENTLY_SPOOL_MAX_BYTES",
        "spool_max_bytes",
        "256Mi",
        _bytes(4 << 20, 1 << 40),
        "The most that the spool takes on disk, all its files together.",
    ),
    Setting(
        "KUBENTLY_RETENTION_SECONDS",
        "retention_seconds",
        "86400",
        _seconds(60, 365 * 86400),
        "How long delivered results are remembered.",
    ),
    Setting(
        "KUBENTLY_EXECUTORS",
        "executors",
        "4",
        _whole(1, 64),
        "How many kubectl run at once; each takes 46 MB, and more for answers of megabytes.",
    ),
    Setting(
        "KUBENTLY_MAX_OUTPUT_BYTES",
        "max_output_bytes",
        "10Mi",
        _bytes(1 << 10, 1 << 38),
        "The most of one command's output that is kept; the rest is counted and cut.",
    ),
    Setting(
        "KUBENTLY_COMMAND_TIMEOUT_MAX",
        "command_timeout_max",
        "60",
        _seconds(1, 3600),
        "The longest a command may run, in seconds, whatever the API asks for. Without a wish it is 10.",
    ),
    Setting("KUBENTLY_KUBECTL", "kubectl", "kubectl", str, "kubectl's name or path, looked up once at start."),
    Setting(
        "KUBENTLY_KUBECTL_HOME",
        "kubectl_folder",
        None,
        _absolute,
        "A folder of the agent's own for kubectl's cache and kubeconfig; without it `kubectl` beside the spool.",
    ),
    Setting(
        "KUBENTLY_KUBECONFIG",
        "kubeconfig",
        None,
        _absolute,
        "Outside a cluster: the kubeconfig to use. Inside, the pod's service account is used.",
    ),
    Setting("KUBENTLY_POLICY_FILE", "policy_file", None, _absolute, "A TOML file that narrows what may be run."),
    Setting("KUBENTLY_CA_CERT", "ca_cert", None, _absolute, "The API's CA, PEM; without it the system's are used."),
    Setting("KUBENTLY_CLIENT_CERT", "client_cert", None, _absolute, "A client certificate for the API, PEM."),
    Setting("KUBENTLY_CLIENT_KEY", "client_key", None, _absolute, "Its key, if it isn't in the same file."),
    Setting(
        "KUBENTLY_ALLOW_HTTP",
        "allow_http",
        "false",
        _flag,
        "Allows http:// to a host other than this one: the token then travels in clear text.",
    ),
    Setting(
        "KUBENTLY_HEALTH_ADDRESS",
        "health_address",
        "0.0.0.0:8080",
        _address,
        "Where `/livez`, `/readyz` and `/metrics` are served.",
    ),
    Setting(
        "KUBENTLY_DRAIN_SECONDS",
        "drain_seconds",
        "25",
        _seconds(1, 3600),
        "How long a stop may take; keep it below the pod's grace period.",
    ),
    Setting(
        "KUBENTLY_HEARTBEAT_INTERVAL",
        "heartbeat_seconds",
        "300",
        _seconds(10, 3000),
        "With the stream link: seconds between two heartbeats.",
    ),
    Setting(
        "KUBENTLY_REPORT_CAPABILITIES",
        "report_capabilities",
        "true",
        _flag,
        "With the stream link: whether the API is told what may be run here.",
    ),
)
