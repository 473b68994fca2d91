"""What happened since the agent started, as counters, and the text format in which Prometheus reads them.

Tasks count; the scrape adds gauges that are looked up at that moment. Every label has a handful of values known in
advance, which are there from the start with 0: a rate over a counter that appears with its first event misses that.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from agent.model import Outcome, Result

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` gives: https://prometheus.io/docs/instrumenting/exposition_formats/"""

DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds. kubectl itself takes about 0.05; 10 is a command's default time limit, 60 the longest."""

POLLS = ("commands", "empty", "failed", "refused")
UPLOADS = ("stored", "refused", "too_large", "later")
RULES = (
    *("shape", "verb", "subcommand", "flag", "value", "output", "raw", "operand"),
    *("name", "type", "namespace", "policy"),
)
REDACTIONS = (
    *("named", "url", "webhook", "dsn", "private-key", "encoded-file", "jwt", "token", "password-hash", "bearer"),
    *("command-line", "secret-object", "jwk", "pgpass", "repeated", "custom", "failed"),
)
_OTHER = "other"
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

Value = float | int


@dataclass(frozen=True, slots=True)
class Family:
    """One metric as Prometheus sees it. A counter's name ends in `_total`; units are part of the name."""

    name: str
    kind: str
    """counter, gauge or histogram."""
    help: str
    samples: Iterable[tuple[str, Mapping[str, str], Value]]
    """Suffix of the name, labels, value."""


def gauge(name: str, help: str, value: Value) -> Family:  # noqa: A002  # the format's own word
    """A gauge without labels."""
    return Family(name, "gauge", help, [("", {}, value)])


def labelled(name: str, kind: str, help: str, label: str, values: Mapping[str, Value]) -> Family:  # noqa: A002
    """A gauge or counter with one label."""
    return Family(name, kind, help, [("", {label: key}, value) for key, value in values.items()])


class Counter:
    """Counts events, or adds up amounts, by the values of one label or of none. What isn't among them is `other`."""

    def __init__(self, name: str, help: str, label: str = "", values: Iterable[str] = ()) -> None:  # noqa: A002
        self._name = name
        self._help = help
        self._label = label
        self._counts: dict[str, Value] = dict.fromkeys(values or [""], 0)

    def add(self, value: str = "", amount: Value = 1) -> None:
        """Count."""
        value = value if value in self._counts else _OTHER
        self._counts[value] = self._counts.get(value, 0) + amount

    def family(self) -> Family:
        """As it is now."""
        if self._label:
            return labelled(self._name, "counter", self._help, self._label, self._counts)
        return Family(self._name, "counter", self._help, [("", {}, self._counts[""])])


class Histogram:
    """Counts observations by size."""

    def __init__(self, name: str, help: str, bounds: tuple[float, ...]) -> None:  # noqa: A002
        self._name = name
        self._help = help
        self._bounds = (*bounds, inf)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one, in its own bucket and in all larger ones."""
        for number in range(bisect_left(self._bounds, value), len(self._bounds)):
            self._counts[number] += 1
        self._sum += value

    def family(self) -> Family:
        """As it is now."""
        buckets: list[tuple[str, Mapping[str, str], Value]] = [
            ("_bucket", {"le": _number(bound)}, count) for bound, count in zip(self._bounds, self._counts, strict=True)
        ]
        total: Value = self._counts[-1]
        return Family(self._name, "histogram", self._help, [*buckets, ("_sum", {}, self._sum), ("_count", {}, total)])


class Metrics:
    """The agent's counters. One object, handed to every task."""

    def __init__(self) -> None:
        self._accepted = Counter("kubently_commands_accepted_total", "Commands taken from the API and journalled.")
        self._skipped = Counter("kubently_commands_skipped_total", "Commands from which no id could be read.")
        self._finished = Counter(
            "kubently_commands_finished_total", "Commands with a result, by how they ended.", "outcome", Outcome
        )
        self._refused = Counter(
            "kubently_commands_refused_total", "Commands that were refused, by the guard's rule.", "rule", RULES
        )
        self._durations = Histogram(
            "kubently_command_duration_seconds", "How long kubectl ran, for those that were started.", DURATION_BUCKETS
        )
        self._output = Counter("kubently_command_output_bytes_total", "Printed by kubectl, what was cut included.")
        self._truncated = Counter("kubently_commands_truncated_total", "Commands whose output was cut.")
        self._redactions = Counter(
            "kubently_redactions_total", "Credentials taken out of output; failed: left out whole.", "kind", REDACTIONS
        )
        self._polls = Counter("kubently_polls_total", "Requests for commands, by outcome.", "outcome", POLLS)
        self._uploads = Counter("kubently_uploads_total", "Attempts to deliver a result.", "outcome", UPLOADS)
        self._running = 0

    def accepted(self) -> None:
        """A command is journalled."""
        self._accepted.add()

    def skipped(self, count: int) -> None:
        """So many commands had no readable id."""
        self._skipped.add(amount=count)

    def finished(self, result: Result) -> None:
        """A command has its result."""
        self._finished.add(result.outcome)
        if result.outcome is Outcome.REFUSED:
            self._refused.add(result.rule or _OTHER)
        if result.exit_code is not None:
            self._durations.observe(result.execution_time_ms / 1000)
            self._output.add(amount=result.output_bytes)
        if result.truncated:
            self._truncated.add()

    def redacted(self, counts: Mapping[str, int]) -> None:
        """So many credentials were taken out of one command's output, by kind."""
        for kind, count in counts.items():
            self._redactions.add(kind, count)

    def poll(self, outcome: str) -> None:
        """A request for commands was answered, or failed: one of `POLLS`."""
        self._polls.add(outcome)

    def upload(self, outcome: str) -> None:
        """A delivery was tried: one of `UPLOADS`."""
        self._uploads.add(outcome)

    @contextmanager
    def kubectl_running(self) -> Iterator[None]:
        """A kubectl runs meanwhile."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def render(self, more: Iterable[Family] = ()) -> str:
        """Everything counted here, and `more`, in Prometheus' text format."""
        counters = (
            *(self._accepted, self._skipped, self._finished, self._refused, self._output, self._truncated),
            *(self._durations, self._redactions, self._polls, self._uploads),
        )
        running = gauge("kubently_kubectl_running", "kubectl processes at the moment.", self._running)
        families = (*(each.family() for each in counters), running, *more)
        return "".join(line for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
    for suffix, labels, value in family.samples:
        inside = ",".join(f'{name}="{text.translate(_ESCAPED)}"' for name, text in labels.items())
        yield f"{family.name}{suffix}{f'{{{inside}}}' if inside else ''} {_number(value)}\n"


def _number(value: Value) -> str:
    if value == inf:
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
