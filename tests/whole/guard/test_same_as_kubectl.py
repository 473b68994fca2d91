"""What the guard writes does what was asked: real kubectls make the same requests and print the same for both lines.

One allowed case in thirty is run, or all if the tests are thorough; with `GUARD_KUBECTLS` on more kubectls.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from agent.guard import decide
from tests.kit import THOROUGH
from tests.unit.guard.cases import CASES, Case
from tests.whole.guard.bench import KUBECTLS, Bench, Ran, bench

WORKERS = 4
ALLOWED = [case for case in CASES if case.allowed]
CHOSEN = ALLOWED if THOROUGH else ALLOWED[::30]


def is_changed_on_purpose(args: list[str]) -> bool:
    """kubectl takes "-v=" for its log level wherever it stands, and events ignores a template without -o."""
    ignored = "events" in args and not any(arg.startswith(("-o", "--output")) for arg in args)
    return any("-v=" in arg or (ignored and arg.startswith("--template")) for arg in args)


def words(out: str) -> list[str]:
    """What was printed, in an order of its own: several pods' logs, and what `..` finds, come in any."""
    return sorted(re.findall(r"\w+", out))


def comparable(ran: Ran) -> tuple[object, ...]:
    """What doesn't change by itself from one run to the next."""
    asked = set()
    for method, path, pairs, body in ran.asked:
        query = dict(pairs)
        if "watch" in query or query.get("resourceVersion") == "0":  # a watch, as often as the server ends it
            query = {"watch": "", "fieldSelector": query.get("fieldSelector", "")}
        asked.add((method, path, tuple((name, *sorted(query[name].split(","))) for name in sorted(query)), body))
    complaints = [line for line in ran.err.partition("goroutine")[0].splitlines() if " reflector.go" not in line]
    return ran.code, words(ran.out), complaints, asked


def difference(case: Case, kubectl: Path, benches: SimpleQueue[Bench]) -> str | None:
    line = decide(case.args)
    place = benches.get()
    try:
        given = case.args[case.args[0] == "kubectl" :]  # the guard drops that word
        asked, written = place.run(given, kubectl=kubectl), place.run(line, kubectl=kubectl)
    finally:
        benches.put(place)
    if "unknown shorthand flag" in asked.err or ("unknown flag" in asked.err and "unknown flag" in written.err):
        return None  # this release doesn't know the flag, or not yet by its letter
    if comparable(asked) == comparable(written):
        return None
    return f"{case.args}\n  asked   {comparable(asked)}\n  written {line} {comparable(written)}"


@pytest.mark.parametrize("kubectl", KUBECTLS, ids=str)
def test_a_written_line_does_what_was_asked(kubectl: Path, tmp_path: Path) -> None:
    cases = [case for case in CHOSEN if not is_changed_on_purpose(case.args)]
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
            ran = place.run(decide(line))
            assert ran.code == 0, ran
            assert ran.asked, line
