"""What is asked. The fields are those of Kubently's tool `log_search` (2.x, August 2026)."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

QUERY_CHARS = 512
TAIL_LINES, MOST_TAIL_LINES = 2000, 10_000
MOST_CONTEXT_LINES = 10
_DURATION = re.compile(r"(\d+(\.\d+)?(h|m|s|ms))+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_UNIX_TIME = re.compile(r"\d{1,19}(\.\d+)?")
_LAST_SECOND = 1e11  # in the year 5138
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")  # in the order in which they start


class BadRequest(ValueError):  # noqa: N818
    """The request makes no sense; the text says why, to whoever asked."""


@dataclass(frozen=True, slots=True)
class LogSearch:
    """A search. Exactly one of `selector` and `pod_name` is set."""

    namespace: str
    query: str
    selector: str | None = None
    pod_name: str | None = None
    container: str | None = None
    use_regex: bool = False
    case_sensitive: bool = False
    since: str | None = None
    """A duration as Go writes it, such as 1h30m."""
    since_time: str | None = None
    """A time as in RFC 3339. Wins over `since`."""
    tail_lines: int = TAIL_LINES
    """How many of each log's last lines are read."""
    previous: bool = False
    context_lines: int = 0

    @classmethod
    def parse(cls, request: Mapping[str, Any]) -> "LogSearch":
        """Read a request. Null, "", 0, false and fields that aren't there mean the same.

        Raises:
            BadRequest: it makes no sense.
        """
        given = {name: _typed(name, request[name], kind) for name, kind in _KINDS.items() if request.get(name)}
        for name in ("namespace", "query"):
            if name not in given:
                raise BadRequest(f"A log search needs `{name}`.")
        if ("selector" in given) == ("pod_name" in given):
            raise BadRequest("A log search needs exactly one of `selector` and `pod_name`.")
        if len(given["query"]) > QUERY_CHARS:
            raise BadRequest(f"`query` has {len(given['query'])} characters; at most {QUERY_CHARS} are searched for.")
        if not _DURATION.fullmatch(given.get("since", "1h")):
            raise BadRequest("`since` must be a duration such as 90s, 15m or 1h.")
        for name, most in (("tail_lines", MOST_TAIL_LINES), ("context_lines", MOST_CONTEXT_LINES)):
            if not 0 <= given.get(name, 0) <= most:
                raise BadRequest(f"`{name}` must be from 0 to {most}.")
        if "since_time" in given:
            given["since_time"] = _rfc3339(str(given["since_time"]))
        return cls(**given)

    @property
    def where(self) -> str:
        """Which pods, in words."""
        pods = f"pods with {self.selector}" if self.selector else f"pod {self.pod_name}"
        return f"{pods} in namespace {self.namespace}" + (f", container {self.container}" if self.container else "")

    @property
    def window(self) -> str:
        """Which part of each log, in words."""
        since = f" since {self.since_time}" if self.since_time else f" of the last {self.since}" if self.since else ""
        whose = " before its last restart" if self.previous else ""
        return f"the last {self.tail_lines} lines{since} of each{whose}"

    def pods_line(self) -> list[str]:
        """Kubectl's arguments for the pods and their containers: a line a pod, its parts divided by `|`."""
        which = f"-l={self.selector}" if self.selector else f"--field-selector=metadata.name={self.pod_name}"
        parts = ("{.metadata.name}", *(f"{{.spec.{kind}[*].name}}" for kind in _CONTAINERS))
        template = "{range .items[*]}" + '{"|"}'.join(parts) + '{"\\n"}{end}'
        return ["get", "pods", f"--namespace={self.namespace}", which, f"-o=jsonpath={template}"]

    def logs_line(self, pod: str, container: str) -> list[str]:
        """Kubectl's arguments for one container's log."""
        line = ["logs", pod, f"--namespace={self.namespace}", f"--container={container}", f"--tail={self.tail_lines}"]
        if self.since_time:
            line.append(f"--since-time={self.since_time}")
        elif self.since:
            line.append(f"--since={self.since}")
        return [*line, "--previous"] if self.previous else line


_KINDS: dict[str, type] = {
    **dict.fromkeys(("namespace", "query", "selector", "pod_name", "container", "since"), str),
    **dict.fromkeys(("use_regex", "case_sensitive", "previous"), bool),
    **dict.fromkeys(("tail_lines", "context_lines"), int),
    "since_time": object,
}


def _typed(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and value is True):
        raise BadRequest(f"`{name}` must be a {'string' if kind is str else 'number' if kind is int else 'boolean'}.")
    return value


def _rfc3339(text: str) -> str:
    """From that, from the same without a zone, or from Unix time: the API's model permits all of them."""
    if _UNIX_TIME.fullmatch(text):
        seconds = float(text)
        while seconds > _LAST_SECOND:  # milliseconds, or nanoseconds
            seconds /= 1000
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    if not _TIME.fullmatch(text):
        raise BadRequest("`since_time` must be a time as in RFC 3339, such as 2026-08-16T12:00:00Z, or Unix seconds.")
    return text if text.endswith("Z") or text[-6] in "+-" else f"{text}Z"
