"""What happened since the agent started, as counters, and the text format in which Prometheus reads them.

Tasks count; the scrape adds gauges that are looked up at that moment. Every label has a few values known in advance,
which start at 0: if a counter appeared only with its first event, a rate over it would miss that event.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate

from agent.model import Outcome, Result

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` returns: https://prometheus.io/docs/instrumenting/exposition_formats/"""

DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds. kubectl itself takes about 0.05; 10 is a command's default time limit, 60 the longest."""

POLLS = ("commands", "empty", "failed", "refused")
UPLOADS = ("stored", "refused", "too_large", "later")
RULES = ("shape", "verb", "subcommand", "flag", "value", "output", "raw", "operand",
         "name", "type", "namespace", "policy")  # fmt: skip
REDACTIONS = ("named", "url", "private-key", "token", "command-line", "custom", "failed")

_COUNTERS: Mapping[str, tuple[str, str, Iterable[str]]] = {
    "kubently_commands_accepted_total": ("Commands taken from the API and journalled.", "", [""]),
    "kubently_commands_skipped_total": ("Commands from which no id could be read.", "", [""]),
    "kubently_commands_finished_total": ("Commands with a result, by how they ended.", "outcome", Outcome),
    "kubently_commands_refused_total": ("Commands that were refused, by the guard's rule.", "rule", RULES),
    "kubently_command_output_bytes_total": ("Printed by kubectl, what was cut included.", "", [""]),
    "kubently_commands_truncated_total": ("Commands whose output was cut.", "", [""]),
    "kubently_redactions_total": ("Credentials taken out of output; failed: left out whole.", "kind", REDACTIONS),
    "kubently_polls_total": ("Requests for commands, by outcome.", "outcome", POLLS),
    "kubently_uploads_total": ("Attempts to deliver a result.", "outcome", UPLOADS),
}
"""Each counter's description, the name of its label if it has one, and the label's values."""

_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def family(name: str, kind: str, words: str, samples: Mapping[str, float]) -> str:
    """One metric in Prometheus' text format. `samples`: what follows the name, such as labels, and the value."""
    lines = (f"{name}{rest} {value}\n" for rest, value in samples.items())
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n{''.join(lines)}"


def labels(**values: str) -> str:
    """The labels as they follow a metric's name."""
    return "{" + ",".join(f'{name}="{text.translate(_ESCAPED)}"' for name, text in values.items()) + "}"


def by(label: str, values: Mapping[str, float]) -> Mapping[str, float]:
    """The samples of a metric with one label, or with none ("")."""
    return {labels(**{label: key}) if label else "": value for key, value in values.items()}


class Metrics:
    """What the tasks tell about themselves. One object, handed to all of them."""

    def __init__(self) -> None:
        self.alive_until: dict[str, float] = {}
        """By when a root task tells again that it turns, on trio's clock; one that doesn't hangs. For `/livez`."""
        self._counts = {name: dict.fromkeys(values, 0) for name, (_, _, values) in _COUNTERS.items()}
        self._by_bucket = [0] * (len(DURATION_BUCKETS) + 1)
        self._seconds = 0.0

    def count(self, name: str, value: str = "", amount: int = 1) -> None:
        """Count for one of the counters above, under this value of its label."""
        counts = self._counts[name]
        counts[value] = counts.get(value, 0) + amount

    def finished(self, result: Result) -> None:
        """A command has its result."""
        self.count("kubently_commands_finished_total", result.outcome)
        if result.outcome is Outcome.REFUSED:
            self.count("kubently_commands_refused_total", result.rule or "other")
        if result.exit_code is not None:
            seconds = result.execution_time_ms / 1000
            self._seconds += seconds
            self._by_bucket[bisect_left(DURATION_BUCKETS, seconds)] += 1
            self.count("kubently_command_output_bytes_total", amount=result.output_bytes)
        if result.truncated:
            self.count("kubently_commands_truncated_total")

    def redacted(self, counts: Mapping[str, int]) -> None:
        """Count the credentials that were taken out of one command's output, by kind."""
        for kind, count in counts.items():
            self.count("kubently_redactions_total", kind, count)

    def render(self) -> str:
        """Everything counted here, in Prometheus' text format."""
        counters = (
            family(name, "counter", words, by(label, self._counts[name]))
            for name, (words, label, _) in _COUNTERS.items()
        )
        up_to = zip((*(f"{bound:g}" for bound in DURATION_BUCKETS), "+Inf"), accumulate(self._by_bucket), strict=True)
        durations: dict[str, float] = {f"_bucket{labels(le=bound)}": count for bound, count in up_to}
        durations |= {"_sum": self._seconds, "_count": sum(self._by_bucket)}
        words = "How long kubectl ran, for those that were started."
        return "".join(counters) + family("kubently_command_duration_seconds", "histogram", words, durations)
