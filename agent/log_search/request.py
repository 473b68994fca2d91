"""What is asked. The fields are those of Kubently's tool `log_search` (2.x, August 2026)."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

QUERY_CHARS = 512
TAIL_LINES, MOST_TAIL_LINES = 2000, 10_000
MOST_CONTEXT_LINES = 10
_DURATION = re.compile(r"(\d+(\.\d+)?(h|m|s|ms))+")


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
        """Read a request. Null, "" and fields that aren't there mean the same.

        Raises:
            BadRequest: it makes no sense.
        """
        selector, pod_name = _text(request, "selector"), _text(request, "pod_name")
        if (selector is None) == (pod_name is None):
            raise BadRequest("A log search needs exactly one of `selector` and `pod_name`.")
        query = _required(request, "query")
        if len(query) > QUERY_CHARS:
            raise BadRequest(f"`query` has {len(query)} characters; at most {QUERY_CHARS} are searched for.")
        since = _text(request, "since")
        if since is not None and not _DURATION.fullmatch(since):
            raise BadRequest("`since` must be a duration such as 90s, 15m or 1h.")
        return cls(
            _required(request, "namespace"),
            query,
            selector,
            pod_name,
            _text(request, "container"),
            _typed(request, "use_regex", bool) or False,
            _typed(request, "case_sensitive", bool) or False,
            since,
            _time(request.get("since_time")),
            _number(request, "tail_lines", MOST_TAIL_LINES) or TAIL_LINES,
            _typed(request, "previous", bool) or False,
            _number(request, "context_lines", MOST_CONTEXT_LINES),
        )

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
        parts = ("{.metadata.name}", *(f"{{.spec.{kind}[*].name}}" for kind in KINDS))
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


KINDS = ("initContainers", "containers", "ephemeralContainers")
"""In the order in which they start."""


def _typed(request: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    value = request.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadRequest(f"`{name}` must be a {'string' if kind is str else 'number' if kind is int else 'boolean'}.")
    return value


def _text(request: Mapping[str, Any], name: str) -> str | None:
    return _typed(request, name, str)


def _required(request: Mapping[str, Any], name: str) -> str:
    value = _text(request, name)
    if value is None:
        raise BadRequest(f"A log search needs `{name}`.")
    return value


def _number(request: Mapping[str, Any], name: str, most: int) -> int:
    value = _typed(request, name, int) or 0
    if not 0 <= value <= most:
        raise BadRequest(f"`{name}` must be from 0 to {most}.")
    return value


def _time(value: object) -> str | None:
    """RFC 3339 from that, or from Unix seconds, which the API's model permits."""
    if not value:
        return None
    try:
        if isinstance(value, str) and not value.isdigit():
            return value  # kubectl knows best
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(value)))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise BadRequest("`since_time` must be a time as in RFC 3339, or Unix seconds.") from error
