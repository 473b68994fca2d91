"""The agent's configuration: environment variables in, one frozen `Config` out, or every mistake at once.

Its fields are the one table of all variables; README's table and `kubently-agent run --help` are made from it. Nothing
here changes anything on the disk: `check` reads the configuration too.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

from agent import settings as read
from agent.errors import ConfigError
from agent.log import LEVELS
from agent.settings import Setting, in_units

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})  # the token doesn't leave the machine
_OF_A_SERVICE = re.compile("_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT(_|$)")

S = Setting


@dataclass(frozen=True, slots=True)
class Config:
    """The agent's whole configuration, checked. Sizes are in bytes, times in seconds."""

    # fmt: off
    api_url: Annotated[str, S("KUBENTLY_API_URL", None, read.api_url,
        "The central API.", example="It must name the central API, such as https://api.example.com.")]
    cluster_id: Annotated[str, S("CLUSTER_ID", None, read.word,
        "This cluster's name at the API.", example="It must give this cluster's name at the API, such as prod-eu-1.")]
    token: Annotated[str | None, S("KUBENTLY_TOKEN", None, read.token,
        "This cluster's token. A file is better: it can be rotated.", secret=True)] = field(repr=False)
    token_file: Annotated[Path | None, S("KUBENTLY_TOKEN_FILE", None, partial(read.file, check=read.token),
        "A file that holds the token; read again when it changes and after a 401.")]
    log_level: Annotated[str, S("LOG_LEVEL", "INFO", read.one_of(*LEVELS),
        "How much is logged.")]
    log_format: Annotated[str | None, S("LOG_FORMAT", None, read.one_of("json", "text"),
        "`json` or `text`; by default text on a terminal and JSON elsewhere.")]
    link: Annotated[Literal["poll", "stream"], S("KUBENTLY_LINK", "poll", read.one_of("poll", "stream"),
        "How commands arrive: long polling, or the event stream of Kubently 2.x.")]
    spool_path: Annotated[Path, S("KUBENTLY_SPOOL_PATH", "/var/lib/kubently/spool.db", read.path,
        "The spool's file; its folder must be writable, and for the agent alone.")]
    spool_max_bytes: Annotated[int, S("KUBENTLY_SPOOL_MAX_BYTES", "256Mi", read.whole(4 << 20, 1 << 40),
        "The most disk space that all files of the spool take together.")]
    retention_seconds: Annotated[float, S("KUBENTLY_RETENTION_SECONDS", "86400", read.seconds(60, 365 * 86400),
        "How many seconds delivered results are remembered.")]
    executors: Annotated[int, S("KUBENTLY_EXECUTORS", "4", read.whole(1, 64),
        "How many kubectl processes run at once; each takes 48 MB, and more for answers of megabytes.")]
    max_output_bytes: Annotated[int, S("KUBENTLY_MAX_OUTPUT_BYTES", "10Mi", read.whole(1 << 10, 1 << 38),
        "The most output of one command that is kept; the rest is cut off and counted. Less for a small spool.")]
    command_timeout_max: Annotated[float, S("KUBENTLY_COMMAND_TIMEOUT_MAX", "60", read.seconds(1, 3600),
        "The longest a command may run, in seconds. If the API asks for no time, it is 10.")]
    kubectl: Annotated[str, S("KUBENTLY_KUBECTL", "kubectl", str,
        "kubectl's name or path, looked up once at start.")]
    kubectl_home: Annotated[Path, S("KUBENTLY_KUBECTL_HOME", None, read.path,
        "A folder for kubectl's cache and kubeconfig; by default `kubectl` beside the spool.")]
    kubeconfig: Annotated[Path | None, S("KUBENTLY_KUBECONFIG", None, read.file,
        "Outside a cluster: the kubeconfig to use. Inside, the pod's service account is used.")]
    policy_file: Annotated[Path | None, S("KUBENTLY_POLICY_FILE", None, read.file,
        "A TOML file that narrows what may be run.")]
    ca_cert: Annotated[Path | None, S("KUBENTLY_CA_CERT", None, read.file,
        "The API's CA, PEM; by default the system's CAs.")]
    client_cert: Annotated[Path | None, S("KUBENTLY_CLIENT_CERT", None, read.file,
        "A client certificate for the API, PEM.")]
    client_key: Annotated[Path | None, S("KUBENTLY_CLIENT_KEY", None, read.file,
        "Its key, if it isn't in the same file.")]
    allow_http: Annotated[bool, S("KUBENTLY_ALLOW_HTTP", "false", read.flag,
        "Allows http:// to another machine: the token then travels in clear text.")]
    health_address: Annotated[tuple[str, int], S("KUBENTLY_HEALTH_ADDRESS", "0.0.0.0:8080", read.address,
        "Where `/livez`, `/readyz` and `/metrics` are served.")]
    drain_seconds: Annotated[float, S("KUBENTLY_DRAIN_SECONDS", "25", read.seconds(1, 3600),
        "How many seconds a stop may take; keep it below the pod's grace period.")]
    heartbeat_seconds: Annotated[float, S("KUBENTLY_HEARTBEAT_INTERVAL", "300", read.seconds(10, 3000),
        "With the stream link: seconds between heartbeats.")]
    report_capabilities: Annotated[bool, S("KUBENTLY_REPORT_CAPABILITIES", "true", read.flag,
        "With the stream link: whether the API is told what may be run here.")]
    # fmt: on

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read and check all variables. Raises ConfigError with all mistakes, each with what would be right."""
        values: Values = {}
        mistakes: list[ConfigError] = []
        for name, setting in SETTINGS.items():
            try:
                values[name] = setting.read(environ)
            except ConfigError as error:
                values[name] = None
                mistakes.append(error)
        given = {name for name, text in environ.items() if text.strip()}
        mistakes += [*_of_the_api(values, given), *_of_the_spool(values, given), *_of_kubently(environ)]
        if mistakes:
            raise ConfigError(mistakes[0].problem, mistakes[0].hint, mistakes=mistakes)
        values["kubectl_home"] = values["kubectl_home"] or values["spool_path"].parent / "kubectl"
        if "KUBENTLY_MAX_OUTPUT_BYTES" not in given:
            values["max_output_bytes"] = min(values["max_output_bytes"], values["spool_max_bytes"] // 8)
        return cls(**values)

    def effective(self) -> dict[str, Any]:
        """What a log may show: every variable but the token."""
        shown: dict[str, Any] = {setting.name: getattr(self, name) for name, setting in SETTINGS.items()}
        shown["KUBENTLY_TOKEN"] = None if self.token is None else "(set)"
        shown["KUBENTLY_HEALTH_ADDRESS"] = ":".join(map(str, self.health_address))
        return {name: str(value) if isinstance(value, Path) else value for name, value in shown.items()}


SETTINGS: dict[str, Setting] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Config, include_extras=True).items()
}
"""All settings, by field of `Config`."""

Values = dict[str, Any]


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like the agent's and aren't, such as misspelt ones, but for those of Kubernetes' Services."""
    known = {setting.name for setting in SETTINGS.values()} | {"KUBENTLY_SSL_VERIFY", "KUBENTLY_WHITELIST_CONFIG"}
    own = (name for name in environ if name.startswith("KUBENTLY_") and not _OF_A_SERVICE.search(name))
    return sorted(set(own) - known)


def _of_the_api(values: Values, given: set[str]) -> Iterator[ConfigError]:
    tokens = {"KUBENTLY_TOKEN", "KUBENTLY_TOKEN_FILE"} & given
    if not tokens:
        problem = "KUBENTLY_TOKEN or KUBENTLY_TOKEN_FILE is not set."
        yield ConfigError(problem, "One must give this cluster's token for the API.")
    if len(tokens) == 2:
        problem = "KUBENTLY_TOKEN and KUBENTLY_TOKEN_FILE are both set."
        yield ConfigError(problem, "Unset one: which is current can't be known.")
    url = values["api_url"]
    if url and not values["allow_http"] and url.startswith("http:") and urlsplit(url).hostname not in _LOOPBACK:
        yield ConfigError(
            f"KUBENTLY_API_URL: {url!r} would send the token in clear text.",
            "Use https://, or set KUBENTLY_ALLOW_HTTP=true if the network between is trusted.",
        )
    if {"KUBENTLY_CLIENT_KEY", "KUBENTLY_CLIENT_CERT"} & given == {"KUBENTLY_CLIENT_KEY"}:
        yield ConfigError("KUBENTLY_CLIENT_KEY is set without KUBENTLY_CLIENT_CERT.", "Set both, or neither.")


def _of_the_spool(values: Values, given: set[str]) -> Iterator[ConfigError]:
    path, most, output = values["spool_path"], values["spool_max_bytes"], values["max_output_bytes"]
    if path and path.is_dir():
        yield ConfigError(f"KUBENTLY_SPOOL_PATH: {str(path)!r} is a folder.", "Name the file itself: …/spool.db.")
    elif path:
        folder = next(each for each in path.parents if each.exists())  # the rest is made when the agent starts
        if not os.access(folder, os.W_OK | os.X_OK):
            problem = f"KUBENTLY_SPOOL_PATH: the folder {str(folder)!r} can't be written by user {os.geteuid()}."
            yield ConfigError(problem, "Mount a writable volume there (in Kubernetes: fsGroup).")
    if most and output and output * 2 > most and "KUBENTLY_MAX_OUTPUT_BYTES" in given:
        problem = f"KUBENTLY_MAX_OUTPUT_BYTES: {in_units(output)} is more than half of KUBENTLY_SPOOL_MAX_BYTES."
        yield ConfigError(problem, f"One output must fit beside another into {in_units(most)}.")


def _of_kubently(environ: Mapping[str, str]) -> Iterator[ConfigError]:
    """Variables of Kubently's own executor that mustn't be overlooked."""
    if environ.get("KUBENTLY_SSL_VERIFY", "").strip().lower() in {"false", "0", "no", "off"}:
        yield ConfigError(
            "KUBENTLY_SSL_VERIFY: certificates are always verified, or anybody between could drive kubectl.",
            "Name your own CA with KUBENTLY_CA_CERT, and unset KUBENTLY_SSL_VERIFY.",
        )
    if environ.get("KUBENTLY_WHITELIST_CONFIG"):
        yield ConfigError(
            "KUBENTLY_WHITELIST_CONFIG: that file isn't read, and without it more might run here than it allows.",
            "Write what is to be narrower into KUBENTLY_POLICY_FILE, and unset this.",
        )
