"""The request for a search. The fields are those of Kubently's tool `log_search` (2.x, August 2026)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast, get_type_hints

import re2

from agent.guard import Refused


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
    since: str | None = None  # a duration as Go writes it, such as 1h30m
    since_time: str | None = None  # a time as in RFC 3339; wins over `since`
    tail_lines: int = 2000  # how many of each log's last lines are read
    previous: bool = False
    context_lines: int = 0

    @classmethod
    def parse(cls, request: Mapping[str, Any]) -> "LogSearch":
        """Read a request. Null, "", 0, false and fields that aren't there mean the same. Raises Refused."""
        kinds = get_type_hints(cls)
        given = {name: request[name] for name in kinds if request.get(name)}
        if "since_time" in given:
            given["since_time"] = _rfc3339(str(given["since_time"]))
        for name, value in given.items():
            if not isinstance(value, kinds[name]) or (kinds[name] is int and value is True):
                called = {bool: "boolean", int: "number"}.get(kinds[name], "string")
                raise Refused("shape", f"`{name}` must be a {called}.")
        for name in {"namespace", "query"} - given.keys():
            raise Refused("shape", f"A log search needs `{name}`.")
        if ("selector" in given) == ("pod_name" in given):
            raise Refused("shape", "A log search needs exactly one of `selector` and `pod_name`.")
        if len(given["query"]) > 512:
            raise Refused("shape", f"`query` has {len(given['query'])} characters; at most 512 are searched for.")
        if not re.fullmatch(r"(\d+(\.\d+)?(h|m|s|ms))+", given.get("since", "1h")):
            raise Refused("shape", "`since` must be a duration such as 90s, 15m or 1h.")
        for name, most in (("tail_lines", 10_000), ("context_lines", 10)):
            if not 0 <= given.get(name, 0) <= most:
                raise Refused("shape", f"`{name}` must be from 0 to {most}.")
        return cls(**given)

    def matcher(self) -> Callable[[str], object]:
        """What decides whether a line matches. Raises Refused if the query is no regular expression that RE2 knows.

        Regular expressions come from a model. RE2 takes time in proportion to the text, whatever the expression is, and
        bounded memory; Python's own `re` may take longer than the universe has for `(a+)+$`.
        """
        if not self.use_regex:
            fold = str if self.case_sensitive else str.lower
            query = fold(self.query)
            return lambda line: query in fold(line)
        options = re2.Options()
        options.case_sensitive, options.max_mem, options.log_errors = self.case_sensitive, 8 << 20, False
        try:
            return cast("Callable[[str], object]", re2.compile(self.query, options).search)
        except re2.error as error:
            why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
            hint = "It has no look-around and no back-references; without use_regex the text is searched for as it is."
            raise Refused("shape", f"`query` is no regular expression of RE2's syntax ({why}). {hint}") from error

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
        """Kubectl's arguments for the pods: a line each, its name and those of its containers, as they start."""
        which = f"-l={self.selector}" if self.selector else f"--field-selector=metadata.name={self.pod_name}"
        kinds = ("initContainers", "containers", "ephemeralContainers")
        names = "{.metadata.name}" + "".join(f'{{" "}}{{.spec.{kind}[*].name}}' for kind in kinds)
        template = "{range .items[*]}" + names + '{"\\n"}{end}'
        return ["get", "pods", f"--namespace={self.namespace}", which, f"-o=jsonpath={template}"]

    def logs_line(self, pod: str, container: str) -> list[str]:
        """Kubectl's arguments for one container's log."""
        line = ["logs", pod, f"--namespace={self.namespace}", f"--container={container}", f"--tail={self.tail_lines}"]
        since = f"--since-time={self.since_time}" if self.since_time else f"--since={self.since}" if self.since else ""
        return [*line, *filter(None, [since, "--previous" if self.previous else ""])]


def _rfc3339(text: str) -> str:
    """A time that may have no zone, as a datetime of the API's model, or be Unix seconds."""
    try:
        is_unix = re.fullmatch(r"\d+(\.\d+)?", text)
        at = datetime.fromtimestamp(float(text), UTC) if is_unix else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        hint = "such as 2026-08-16T12:00:00Z, or Unix seconds"
        raise Refused("shape", f"`since_time` must be a time as in RFC 3339, {hint}.") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()
