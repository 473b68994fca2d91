"""The demo's proof finds what is wrong; its counts and its screen say what is so."""

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.body import Body
from demo.record import Answer, Asked, HandOut, Record
from demo.story.ledger import Entry, read_ledger
from demo.story.proof import Evidence, findings
from demo.story.questions import Question, burst, crash_looping_pod, running_pods, tail_of
from demo.story.screen import Screen
from demo.story.tally import count

_bodies: list[Body] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while _bodies:
        _bodies.pop().close()


def answer(text: str) -> Answer:
    body = Body(Path("/tmp"))
    _bodies.append(body)
    body.feed(text.encode())
    return Answer(1.0, "poll", {"success": True, "output": text}, body)


def record(**answers: list[str]) -> Record:
    made = Record()
    for command_id, texts in answers.items():
        asked = Asked(command_id, {"id": command_id, "args": ["version"]}, 0.0)
        asked.handed_out.append(HandOut(0.0, "poll"))
        asked.answers.extend(answer(text) for text in texts)
        made.add(asked)
    return made


def wrong(evidence: Evidence) -> set[str]:
    return {row.what for row in findings(evidence) if row.right is False}


def test_all_is_well() -> None:
    ledger = {"a": Entry("delivered", 1), "b": Entry("delivered", 2)}
    assert not wrong(Evidence(record(a=["x"], b=["y", "y"]), ledger, {"b"}, None))


def test_a_lost_command_is_found() -> None:
    found = wrong(Evidence(record(a=["x"], b=[]), {"a": Entry("delivered", 1)}, set(), None))
    assert found == {"lost", "answered, with exactly one result"}


def test_two_different_answers_are_found() -> None:
    found = wrong(Evidence(record(a=["x", "y"]), {"a": Entry("delivered", 1)}, set(), None))
    assert "answered twice, and differently" in found


@pytest.mark.parametrize(("runs", "interrupted"), [(2, set()), (3, {"a"})])
def test_a_command_that_ran_twice_is_found(runs: int, interrupted: set[str]) -> None:
    found = wrong(Evidence(record(a=["x"]), {"a": Entry("delivered", runs)}, interrupted, None))
    assert found == {"run again although they had a result"}


def test_the_tally() -> None:
    made = record(a=["x"], b=[], c=[], d=[], e=[])
    ledger = {"b": Entry("spooled", 1), "c": Entry("running", 1), "d": Entry("accepted", 0)}
    soon, late = count(made, ledger, 1.0), count(made, ledger, 9.0)
    assert (soon.executed, soon.spooled, soon.delivered, soon.lost, soon.in_flight) == (2, 1, 1, 0, 2)
    assert late.lost == 1
    assert str(late) == "executed 2 · spooled 1 · delivered 1 · lost 1"


def test_no_spool_is_an_empty_ledger(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "spool.db", ["a"]) == {}


def test_an_excerpt_marks_what_was_left_out() -> None:
    question = Question(("get", "pods"), show="NAME|bad", most=3)
    assert question.excerpt("NAME\ngood\ngood\nbad-1\n") == ["NAME", "⋮", "bad-1"]
    assert question.excerpt("good\nbad-1\nbad-2\nbad-3\nbad-4\n") == ["bad-1", "bad-2", "⋮"]
    assert Question(("get", "pods", "-l", "a in (b)")).words == "kubectl get pods -l 'a in (b)'"


def test_pods_are_found_in_what_kubectl_printed() -> None:
    output = "NAME READY STATUS\nweb-1   1/1     Running   0\ncheckout-2   0/1     CrashLoopBackOff   11 (2m ago)\n"
    assert crash_looping_pod(output) == "checkout-2"
    assert running_pods(output) == ["web-1"]
    assert crash_looping_pod("NAME\n") is None


def test_each_question_of_a_burst_can_be_told_apart() -> None:
    asked = burst(random.Random(7), ["a", "b"], 20)
    assert len({tail_of(question.args) for question in asked}) == 20
    assert asked == burst(random.Random(7), ["a", "b"], 20)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_there_are_plain_lines() -> None:
    out = io.StringIO()
    screen = Screen(out, {})
    screen.act(1, "Why?")
    screen.command("kubectl " + "word " * 30, "12 ms")
    screen.live("executed 1")
    screen.live("executed 2")
    screen.settle("executed 3")
    printed = out.getvalue()
    assert "\x1b" not in printed
    assert "\r" not in printed
    assert [line.strip() for line in printed.splitlines()[-2:]] == ["executed 1", "executed 3"]
    assert max(map(len, printed.splitlines())) <= screen.width


def test_a_flag_stays_with_its_value_where_both_have_room() -> None:
    out = io.StringIO()
    screen = Screen(out, {})
    screen.command("kubectl " + "word " * 13 + "a -n shop", "12 ms")
    screen.command("kubectl get events --field-selector " + "a" * 70, "12 ms")
    _, short, _, long = out.getvalue().splitlines()
    assert short.strip() == "-n shop"
    assert long.strip() == "a" * 70


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_only_where_it_is_wanted(environ: dict[str, str], coloured: bool) -> None:
    out = Terminal()
    Screen(out, environ).line("text", "bold")
    assert ("\x1b[1m" in out.getvalue()) is coloured


def test_on_a_terminal_the_live_line_stays_at_the_bottom() -> None:
    out = Terminal()
    screen = Screen(out, {"NO_COLOR": "1"})
    screen.live("executed 1")
    screen.line("an answer")
    screen.settle("executed 2")
    assert out.getvalue() == "   executed 1\r\x1b[Kan answer\n   executed 1\r\x1b[K   executed 2\n"
