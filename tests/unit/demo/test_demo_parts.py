"""The demo's proof finds what is wrong; its counts and its screen say what is so."""

import io
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.body import Body
from demo.cluster.api import Call, sample_cluster
from demo.record import Answer, Asked, HandOut, Record
from demo.story import questions
from demo.story.ledger import Entry, read_ledger
from demo.story.proof import count, findings
from demo.story.questions import Question, burst, crash_looping_pod, running_pods, tail_of
from demo.story.screen import Screen

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


def wrong(made: Record, ledger: dict[str, Entry], killed: set[str]) -> set[str]:
    at_kill = {command_id: Entry("running", 1) for command_id in killed}
    return {row.what.partition(",")[0] for row in findings(made, ledger, at_kill, None) if not row.right}


def test_all_is_well() -> None:
    ledger = {"a": Entry("delivered", 1), "b": Entry("delivered", 2)}
    assert not wrong(record(a=["x"], b=["y", "y"]), ledger, {"b"})


def test_a_lost_command_is_found() -> None:
    assert wrong(record(a=["x"], b=[]), {"a": Entry("delivered", 1)}, set()) == {"lost", "answered"}


def test_two_different_answers_are_found() -> None:
    assert wrong(record(a=["x", "y"]), {"a": Entry("delivered", 1)}, set()) == {"answered"}


@pytest.mark.parametrize(
    ("runs", "killed", "found"),
    [
        (2, set(), {"run again without need"}),
        (3, {"a"}, {"run again", "run again without need"}),
        (1, {"a"}, {"run again"}),
    ],
)
def test_a_command_that_ran_too_often_or_not_again_is_found(runs: int, killed: set[str], found: set[str]) -> None:
    assert wrong(record(a=["x"]), {"a": Entry("delivered", runs)}, killed) == found


async def test_what_the_cluster_saw_is_found() -> None:
    made = record(a=["x"])
    made["a"].command["args"] = ["logs", "web", "--tail=30"]
    async with sample_cluster() as cluster:
        log = Call(0.0, "GET", "/api/v1/namespaces/shop/pods/web/log", {"tailLines": "30"}, 200)
        cluster.calls.extend([log, log, Call(0.0, "DELETE", "/api/v1/namespaces/shop/pods/web", {}, 403)])
        ledger = {"a": Entry("delivered", 1)}
        rows = findings(made, ledger, {}, cluster)
        begun = findings(made, ledger, {"a": Entry("accepted", 0)}, cluster)
    assert [row.count for row in rows if not row.right] == [1, 1]
    assert len(rows) == 5
    assert [row.what for row in begun if not row.right] == ["requests that would change something, says the cluster"]


def test_the_tally() -> None:
    made = record(a=["x"], b=[], c=[], d=[], e=[])
    ledger = {"b": Entry("spooled", 1), "c": Entry("running", 1), "d": Entry("accepted", 0)}
    soon, late = count(made, ledger, 1.0), count(made, ledger, 9.0)
    assert (soon.results, soon.spooled, soon.delivered, soon.lost, soon.in_flight) == (2, 1, 1, 0, 2)
    assert late.lost == 1
    assert str(late) == "2 results · 1 wait on disk · 1 delivered · 1 lost"


def test_no_spool_is_an_empty_ledger(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "spool.db") == {}


def test_an_excerpt_is_what_tells_the_story() -> None:
    question = Question(("logs", "web"), show=r"ERROR .*", most=2)
    assert question.excerpt("12:00 INFO x\n12:01 ERROR a\n12:02 ERROR b\n12:03 ERROR c\n") == ["ERROR a", "ERROR b"]
    assert Question(("get", "pods", "-l", "a in (b)")).words == "kubectl get pods -l 'a in (b)'"
    assert questions.LOST_ORDERS.words == "search logs of app=web in shop for ERROR"


def test_pods_are_found_in_what_kubectl_printed() -> None:
    output = (
        "NAME READY STATUS\nweb-1   1/1     Running   0\ncheckout-2   0/1     CrashLoopBackOff   11 (2m ago)   9m\n"
    )
    assert crash_looping_pod(output) == "checkout-2"
    assert running_pods(output) == ["web-1"]
    assert crash_looping_pod("NAME\n") is None
    assert questions.PODS.excerpt(output) == ["checkout-2   0/1     CrashLoopBackOff   11 (2m ago)"]


def test_each_question_of_a_burst_can_be_told_apart() -> None:
    asked = burst(random.Random(7), ["a", "b"], 20)
    assert len({tail_of(question.args) for question in asked}) == 20
    assert asked == burst(random.Random(7), ["a", "b"], 20)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def everything(screen: Screen) -> None:
    screen.act(1, "Why is it so, and for how long has it been so?")
    screen.command("kubectl get pods --namespace shop --field-selector status.phase=Running", "12 ms")
    screen.answer(["a line of a log that is longer than forty columns are wide, as most of them are"])
    screen.live("3 results and more and more and more and more")
    screen.settle("3 results · 3 wait on disk · 0 delivered · 0 lost")
    screen.finding(True, "20 of 20", "answered, with one result each, says the API")


@pytest.mark.parametrize("columns", [200, 80, 40])
def test_it_fits_the_terminal_and_nothing_is_cut(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    everything(Screen(out, {"NO_COLOR": "1"}))
    rows = re.split(r"\r\x1b\[K|\n", out.getvalue())
    assert max(map(len, rows)) <= min(columns, 80)
    words = " ".join(out.getvalue().split())
    for part in ("has it been so?", "status.phase=Running", "as most of them are", "0 lost", "says the API"):
        assert part in words


def test_without_a_terminal_there_are_plain_lines() -> None:
    out = io.StringIO()
    everything(Screen(out, {}))
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()
    assert "more and more" not in out.getvalue()


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
