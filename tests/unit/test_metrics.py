"""Counters, and their text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.guard import Refused
from agent.link import Verdict
from agent.metrics import (
    DURATION_BUCKETS,
    POLLS,
    REDACTIONS,
    RULES,
    UPLOADS,
    Metrics,
    family,
    labels,
)
from agent.model import Outcome, Result
from agent.redact import KINDS

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')


def read(text: str) -> dict[str, float]:
    """Name and labels to value, as a scraper reads it; checks the form of each line."""
    values = {}
    described: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in described
            described.add(name)
        elif not line.startswith("# TYPE "):
            match = LINE.fullmatch(line)
            assert match, line
            assert re.sub("_(bucket|sum|count)$", "", match[1]) in described or match[1] in described
            values[line.rsplit(" ", 1)[0]] = float(match[3])
    return values


def test_every_counter_is_there_from_the_start():
    values = read(Metrics().render())
    assert set(values.values()) == {0}
    for outcome in Outcome:
        assert f'kubently_commands_finished_total{{outcome="{outcome.value}"}}' in values
    for rule in RULES:
        assert f'kubently_commands_refused_total{{rule="{rule}"}}' in values


def test_what_is_redacted_is_counted_by_the_rules_kinds():
    assert set(REDACTIONS) == {*KINDS, "failed"}


def test_the_rules_are_those_of_the_guard():
    named = " ".join((Refused.__doc__ or "").split()).partition("for metrics: ")[2].partition(" (")[0]
    assert set(RULES) == set(named.replace(", or ", ", ").split(", "))


def test_the_links_verdicts_are_the_uploads_outcomes():
    assert set(UPLOADS) == {verdict.value for verdict in Verdict}


def test_what_tasks_tell_is_counted():
    metrics = Metrics()
    metrics.count("kubently_commands_accepted_total")
    metrics.count("kubently_commands_accepted_total", amount=2)
    for outcome in POLLS:
        metrics.count("kubently_polls_total", outcome)
    metrics.count("kubently_uploads_total", Verdict.STORED)
    values = read(metrics.render())
    assert values["kubently_commands_accepted_total"] == 3
    assert [values[f'kubently_polls_total{{outcome="{outcome}"}}'] for outcome in POLLS] == [1, 1, 1, 1]
    assert values['kubently_uploads_total{outcome="stored"}'] == 1


def test_a_finished_command():
    metrics = Metrics()
    metrics.finished(Result(Outcome.FAILED, exit_code=1, execution_time_ms=70, output_bytes=500, truncated=True))
    values = read(metrics.render())
    assert values['kubently_commands_finished_total{outcome="failed"}'] == 1
    assert values["kubently_commands_truncated_total"] == 1
    assert values["kubently_command_output_bytes_total"] == 500
    assert values["kubently_command_duration_seconds_count"] == 1
    assert values["kubently_command_duration_seconds_sum"] == pytest.approx(0.07)


def test_what_never_ran_has_no_duration():
    metrics = Metrics()
    metrics.finished(Result(Outcome.REFUSED, rule="verb", execution_time_ms=0))
    values = read(metrics.render())
    assert values['kubently_commands_refused_total{rule="verb"}'] == 1
    assert values["kubently_command_duration_seconds_count"] == 0


def test_buckets_hold_all_that_is_smaller():
    metrics = Metrics()
    for milliseconds in (50, 51, 100, 61_000):
        metrics.finished(Result(Outcome.SUCCEEDED, exit_code=0, execution_time_ms=milliseconds))
    values = read(metrics.render())
    counts = {le: values[f'kubently_command_duration_seconds_bucket{{le="{le}"}}'] for le in ("0.05", "0.1", "+Inf")}
    assert counts == {"0.05": 1, "0.1": 3, "+Inf": 4}
    assert values["kubently_command_duration_seconds_count"] == 4
    assert values["kubently_command_duration_seconds_sum"] == pytest.approx(61.201)


def test_bounds_are_in_order():
    assert sorted(set(DURATION_BUCKETS)) == list(DURATION_BUCKETS)


@given(st.text())
def test_any_text_can_be_a_label(text: str):
    rendered = family("g", "gauge", "help", {labels(label=text): 1})
    line = rendered.removesuffix("\n").rsplit("# TYPE g gauge\n", 1)[1]
    inside = line.removeprefix('g{label="').removesuffix('"} 1')
    assert "\n" not in line
    assert re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), inside) == text
