"""What the guard writes does what was asked: real kubectls make the same requests and print the same for both lines.

One allowed case in ten is run; `GUARD_DIFFERENTIAL=1` runs all, `GUARD_KUBECTLS` more kubectls.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from agent.guard import decide
from tests.unit.guard.cases import CASES, Case
from tests.whole.guard.bench import KUBECTLS, Bench, Ran, bench

WORKERS = 4
ALLOWED = [case for case in CASES if case.allowed]
CHOSEN = ALLOWED if os.environ.get("GUARD_DIFFERENTIAL") else ALLOWED[::10]
CHANGED_ON_PURPOSE = "-v="  # kubectl takes it for its log level in the line as it was asked


def comparable(ran: Ran) -> tuple[object, ...]:
    """What doesn't change by itself from one run to the next."""
    asked = set()
    for method, path, pairs, body in ran.asked:
        query = dict(pairs)
        if "watch" in query or query.get("resourceVersion") == "0":  # a watch, as often as the server ends it
            query = {"watch": "", "fieldSelector": query.get("fieldSelector", "")}
        asked.add((method, path, tuple((name, *sorted(query[name].split(","))) for name in sorted(query)), body))
    complaints = [line for line in ran.err.partition("goroutine")[0].splitlines() if " reflector.go" not in line]
    return ran.code, sorted(ran.out.splitlines()), complaints, asked  # several pods' logs come in any order


def difference(case: Case, kubectl: Path, benches: SimpleQueue[Bench]) -> str | None:
    line = decide(case.args).argv
    place = benches.get()
    try:
        asked, written = place.run(case.args, kubectl=kubectl), place.run(line, kubectl=kubectl)
    finally:
        benches.put(place)
    if "unknown shorthand flag" in asked.err or ("unknown flag" in asked.err and "unknown flag" in written.err):
        return None  # this release doesn't know the flag, or not yet by its letter
    if comparable(asked) == comparable(written):
        return None
    return f"{case.args}\n  asked   {comparable(asked)}\n  written {line} {comparable(written)}"


@pytest.mark.parametrize("kubectl", KUBECTLS, ids=str)
def test_a_written_line_does_what_was_asked(kubectl: Path, tmp_path: Path) -> None:
    cases = [case for case in CHOSEN if not any(CHANGED_ON_PURPOSE in arg for arg in case.args)]
    benches: SimpleQueue[Bench] = SimpleQueue()
    with ThreadPoolExecutor(WORKERS) as pool:
        opened = [bench(tmp_path / str(number)) for number in range(WORKERS)]
        for each in opened:
            benches.put(each.__enter__())
        try:
            found = list(pool.map(lambda case: difference(case, kubectl, benches), cases))
        finally:
            for each in opened:
                each.__exit__(None, None, None)
    different = [each for each in found if each]
    if different:
        pytest.fail("\n".join([f"{len(different)} of {len(cases)} differ", *different]), pytrace=False)


def test_the_cases_reach_the_server(tmp_path: Path) -> None:
    """Two lines that both fail would be the same, too."""
    with bench(tmp_path) as place:
        for line in (
            ["get", "pods", "-A"],
            ["logs", "web-0"],
            ["describe", "deploy", "web"],
            ["top", "pods"],
            ["events"],
        ):
            ran = place.run(decide(line).argv)
            assert ran.code == 0, ran
            assert ran.asked, line
