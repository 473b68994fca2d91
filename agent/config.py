"""The agent's configuration: environment variables in, one frozen `Config` out, or every mistake at once.

Its fields are the one table of all variables; README's table and `kubently-agent run --help` are made from it. Nothing
here changes anything on the disk: `check` reads the configuration too.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

from agent import settings as read
from agent.errors import ConfigError
from agent.settings import LOOPBACK, Setting

REFUSED = frozenset({"KUBENTLY_SSL_VERIFY", "KUBENTLY_WHITELIST_CONFIG"})
"""Variables of Kubently's own executor that mustn't be overlooked."""

STREAM_ONLY = frozenset({"KUBENTLY_HEARTBEAT_INTERVAL", "KUBENTLY_REPORT_CAPABILITIES"})
"""Variables that only the stream link reads."""

OUTPUT_SHARE = 8
"""Unless it is set, one output may have this part of a small spool at most, so that others fit beside it."""

_OF_A_SERVICE = re.compile("_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT(_|$)")

LinkName = Literal["poll", "stream"]
S = Setting


@dataclass(frozen=True, slots=True)
class Config:
    """All that the agent is told from outside, checked. Sizes are in bytes, times in seconds."""

    # fmt: off
    api_url: Annotated[str, S("KUBENTLY_API_URL", None, read.api_url,
        "The central API.", example="It must name the central API, such as https://api.example.com.")]
    cluster_id: Annotated[str, S("CLUSTER_ID", None, read.word,
        "This cluster's name at the API.", example="It must give this cluster's name at the API, such as prod-eu-1.")]
    token: Annotated[str | None, S("KUBENTLY_TOKEN", None, read.token,
        "This cluster's token. A file is better: it can be rotated.", secret=True)] = field(repr=False)
    token_file: Annotated[Path | None, S("KUBENTLY_TOKEN_FILE", None, read.path,
        "A file that holds the token; read again when it changes and after a 401.")]
    log_level: Annotated[str, S("LOG_LEVEL", "INFO", read.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        "How much is logged.")]
    log_format: Annotated[str | None, S("LOG_FORMAT", None, read.one_of("json", "text"),
        "`json` or `text`; without it text on a terminal and JSON elsewhere.")]
    link: Annotated[LinkName, S("KUBENTLY_LINK", "poll", read.one_of("poll", "stream"),
        "How commands arrive: long polling, or the event stream of Kubently 2.x.")]
    spool_path: Annotated[Path, S("KUBENTLY_SPOOL_PATH", "/var/lib/kubently/spool.db", read.spool_file,
        "The spool; its folder must be writable and the agent's own.")]
    spool_max_bytes: Annotated[int, S("KUBENTLY_SPOOL_MAX_BYTES", "256Mi", read.size(4 << 20, 1 << 40),
        "The most that the spool takes on disk, all its files together.")]
    retention_seconds: Annotated[float, S("KUBENTLY_RETENTION_SECONDS", "86400", read.seconds(60, 365 * 86400),
        "How long delivered results are remembered.")]
    executors: Annotated[int, S("KUBENTLY_EXECUTORS", "4", read.whole(1, 64),
        "How many kubectl run at once; each takes 46 MB, and more for answers of megabytes.")]
    max_output_bytes: Annotated[int, S("KUBENTLY_MAX_OUTPUT_BYTES", "10Mi", read.size(1 << 10, 1 << 38),
        "The most of one command's output that is kept; the rest is counted and cut. Less for a small spool.")]
    command_timeout_max: Annotated[float, S("KUBENTLY_COMMAND_TIMEOUT_MAX", "60", read.seconds(1, 3600),
        "The longest a command may run, in seconds, whatever the API asks for. If it asks for nothing, it is 10.")]
    kubectl: Annotated[str, S("KUBENTLY_KUBECTL", "kubectl", read.program,
        "kubectl's name or path, looked up once at start.")]
    kubectl_home: Annotated[Path, S("KUBENTLY_KUBECTL_HOME", None, read.path,
        "A folder of the agent's own for kubectl's cache and kubeconfig; without it `kubectl` beside the spool.")]
    kubeconfig: Annotated[Path | None, S("KUBENTLY_KUBECONFIG", None, read.path,
        "Outside a cluster: the kubeconfig to use. Inside, the pod's service account is used.")]
    policy_file: Annotated[Path | None, S("KUBENTLY_POLICY_FILE", None, read.path,
        "A TOML file that narrows what may be run.")]
    ca_cert: Annotated[Path | None, S("KUBENTLY_CA_CERT", None, read.path,
        "The API's CA, PEM; without it the system's are used.")]
    client_cert: Annotated[Path | None, S("KUBENTLY_CLIENT_CERT", None, read.path,
        "A client certificate for the API, PEM.")]
    client_key: Annotated[Path | None, S("KUBENTLY_CLIENT_KEY", None, read.path,
        "Its key, if it isn't in the same file.")]
    allow_http: Annotated[bool, S("KUBENTLY_ALLOW_HTTP", "false", read.flag,
        "Allows http:// to a host other than this one: the token then travels in clear text.")]
    health_address: Annotated[tuple[str, int], S("KUBENTLY_HEALTH_ADDRESS", "0.0.0.0:8080", read.address,
        "Where `/livez`, `/readyz` and `/metrics` are served.")]
    drain_seconds: Annotated[float, S("KUBENTLY_DRAIN_SECONDS", "25", read.seconds(1, 3600),
        "How long a stop may take; keep it below the pod's grace period.")]
    heartbeat_seconds: Annotated[float, S("KUBENTLY_HEARTBEAT_INTERVAL", "300", read.seconds(10, 3000),
        "With the stream link: seconds between two heartbeats.")]
    report_capabilities: Annotated[bool, S("KUBENTLY_REPORT_CAPABILITIES", "true", read.flag,
        "With the stream link: whether the API is told what may be run here.")]
    # fmt: on

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read and check all variables.

        Raises:
            ConfigError: all mistakes, each with its variable and what would be right.
        """
        values: Values = {}
        mistakes: list[ConfigError] = []
        for setting in SETTINGS:
            try:
                values[setting.field] = setting.read(environ.get(setting.name))
            except ConfigError as error:
                values[setting.field] = None
                mistakes.append(error)
        given = {name for name, text in environ.items() if text.strip()}
        for check in (_token, _transport, _files, _spool, _link):
            mistakes.extend(check(values, given))
        mistakes.extend(_kubentlys_own(environ))
        if mistakes:
            raise ConfigError.of(mistakes)
        return cls(**values)

    def effective(self) -> dict[str, Any]:
        """What a log may show: every variable but the token."""
        shown: dict[str, Any] = {s.name: getattr(self, s.field) for s in SETTINGS}
        shown["KUBENTLY_TOKEN"] = None if self.token is None else "(set)"
        shown["KUBENTLY_HEALTH_ADDRESS"] = ":".join(map(str, self.health_address))
        return {name: str(value) if isinstance(value, Path) else value for name, value in shown.items()}


SETTINGS: tuple[Setting, ...] = tuple(
    replace(hint.__metadata__[0], field=name) for name, hint in get_type_hints(Config, include_extras=True).items()
)
_SETTING = {setting.field: setting for setting in SETTINGS}

Values = dict[str, Any]
Given = set[str]
"""The names of the variables that are set."""


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


def output_was_lowered(config: Config, environ: Mapping[str, str]) -> bool:
    """Whether the most that is kept of an output follows a small spool, which nobody asked for in so many words."""
    unset = not environ.get("KUBENTLY_MAX_OUTPUT_BYTES", "").strip()
    return unset and config.max_output_bytes != _SETTING["max_output_bytes"].read(None)


def spool_path(environ: Mapping[str, str]) -> Path:
    """Where the spool is, for the commands that need nothing else of the configuration.

    Raises:
        ConfigError: that can't be a spool's path.
    """
    path: Path = _SETTING["spool_path"].read(environ.get("KUBENTLY_SPOOL_PATH"))
    return path


def _token(values: Values, given: Given) -> Iterator[ConfigError]:
    names = {"KUBENTLY_TOKEN", "KUBENTLY_TOKEN_FILE"} & given
    if not names:
        yield ConfigError(
            "KUBENTLY_TOKEN or KUBENTLY_TOKEN_FILE is not set.", "One must give this cluster's token for the API."
        )
    elif len(names) == 2:
        yield ConfigError(
            "KUBENTLY_TOKEN and KUBENTLY_TOKEN_FILE are both set.", "Unset one: which is current can't be known."
        )
    else:
        yield from read.readable("KUBENTLY_TOKEN_FILE", values["token_file"], read.token)


def _transport(values: Values, _: Given) -> Iterator[ConfigError]:
    url = values["api_url"]
    if url and not values["allow_http"] and url.startswith("http:") and urlsplit(url).hostname not in LOOPBACK:
        yield ConfigError(
            f"KUBENTLY_API_URL: {url!r} would send the token in clear text.",
            "Use https://, or set KUBENTLY_ALLOW_HTTP=true if the network between is trusted.",
        )


def _files(values: Values, _: Given) -> Iterator[ConfigError]:
    for name in ("ca_cert", "client_cert", "client_key", "kubeconfig", "policy_file"):
        yield from read.readable(f"KUBENTLY_{name.upper()}", values[name])
    if values["client_key"] and not values["client_cert"]:
        yield ConfigError("KUBENTLY_CLIENT_KEY is set without KUBENTLY_CLIENT_CERT.", "Set both, or neither.")


def _spool(values: Values, given: Given) -> Iterator[ConfigError]:
    path, most, output = values["spool_path"], values["spool_max_bytes"], values["max_output_bytes"]
    if path:
        values["kubectl_home"] = values["kubectl_home"] or path.parent / "kubectl"
        yield from _place(path)
    if most and output and output * 2 > most and "KUBENTLY_MAX_OUTPUT_BYTES" in given:
        yield ConfigError(
            f"KUBENTLY_MAX_OUTPUT_BYTES: {read.in_units(output)} is more than half of KUBENTLY_SPOOL_MAX_BYTES "
            f"({read.in_units(most)}).",
            "One output must fit the spool beside another.",
        )
    elif most and output and "KUBENTLY_MAX_OUTPUT_BYTES" not in given:
        values["max_output_bytes"] = min(output, most // OUTPUT_SHARE)


def _place(path: Path) -> Iterator[ConfigError]:
    """What is wrong with where the spool is to be. Its folder is made when the agent starts."""
    folder = next(each for each in (*path.parents, path) if each.exists())
    if path.exists() and not path.is_file():
        yield ConfigError(f"KUBENTLY_SPOOL_PATH: {str(path)!r} is no file.", "Name the file itself: …/spool.db.")
    elif not folder.is_dir():
        yield ConfigError(f"KUBENTLY_SPOOL_PATH: {str(folder)!r} is no folder.", "Name a path below a folder.")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield ConfigError(
            f"KUBENTLY_SPOOL_PATH: the folder {str(folder)!r} can't be written by user {os.geteuid()}.",
            "Mount a writable volume there (in Kubernetes: fsGroup).",
        )


def _link(values: Values, given: Given) -> Iterator[ConfigError]:
    if values["link"] == "poll":
        for name in sorted(STREAM_ONLY & given):
            hint = "Unset it, or set KUBENTLY_LINK=stream."
            yield ConfigError(f"{name} has no meaning with KUBENTLY_LINK=poll.", hint)


def _kubentlys_own(environ: Mapping[str, str]) -> Iterator[ConfigError]:
    if environ.get("KUBENTLY_SSL_VERIFY", "").strip().lower() in {"false", "0", "no", "off"}:
        yield ConfigError(
            "KUBENTLY_SSL_VERIFY: certificates are always verified, or anybody between could drive kubectl.",
            "Name your own CA with KUBENTLY_CA_CERT, and unset KUBENTLY_SSL_VERIFY.",
        )
    if environ.get("KUBENTLY_WHITELIST_CONFIG"):
        yield ConfigError(
            "KUBENTLY_WHITELIST_CONFIG: the file of Kubently's own executor isn't read, and without it more might run "
            "here than it allows.",
            "Write what is to be narrower into KUBENTLY_POLICY_FILE, and unset this.",
        )
