"""Tables: as wide as the terminal, and nothing in them that a terminal obeys."""

import pytest

from agent.cli.lists import LISTS, shortened
from agent.cli.table import Column, cut, plain, plain_lines, table, text

COLUMNS = (
    Column("ID", text("id")),
    Column("COMMAND", text("command"), gives_way=1),
    Column("N", text("n"), right=True),
)


def rows(*commands):
    return [{"id": f"c{i}", "command": command, "n": i * 100} for i, command in enumerate(commands)]


def test_columns_line_up():
    assert table(COLUMNS, rows("get pods", "top node"), 80) == [
        "ID  COMMAND     N",
        "c0  get pods    0",
        "c1  top node  100",
    ]


def test_the_column_that_gives_way_is_cut_to_the_width():
    lines = table(COLUMNS, rows("get pods --all-namespaces --field-selector=status.phase!=Running", "x"), 40)
    assert max(map(len, lines)) == 40
    assert "get pods --all-namespaces --fi…" in lines[1]
    assert lines[1].endswith("  0")


def test_no_column_is_cut_beyond_use():
    lines = table(COLUMNS, rows("get pods --all-namespaces --field-selector=status.phase!=Running"), 10)
    assert "get pods" in lines[1]


def test_wide_letters_take_two_columns_and_marks_none():
    lines = table(
        (Column("A", text("a")), Column("B", text("b"))), [{"a": "日本", "b": 1}, {"a": "e\u0301e", "b": 2}], 80
    )
    assert lines == ["A     B", "日本  1", "e\u0301e    2"]
    assert cut("日本語", 5) == "日本…"


def test_what_a_terminal_would_obey_is_spelled_out():
    assert plain("a\x1b[2Jb\nc\u202e") == "a\\u001b[2Jb\\nc\\u202e"
    assert plain_lines("a\tb\nc\x1b]0;title\x07") == "a\tb\nc\\u001b]0;title\\u0007"


def test_ids_are_as_short_as_they_can_be():
    ids = ["1f0c3a5e-aaaa", "1f0c3a5e-bbbb", "7d", "9e107d9d372bb682"]
    short = [row["id"] for row in shortened([{"command_id": command_id} for command_id in ids])]
    assert short == ["1f0c3a5e-a", "1f0c3a5e-b", "7d", "9e107d9d37"]


def test_an_id_that_begins_another_stays_whole():
    short = [row["id"] for row in shortened([{"command_id": "command-1"}, {"command_id": "command-10"}])]
    assert short == ["command-1", "command-10"]


@pytest.mark.parametrize("name", LISTS)
def test_lists_show_rows_with_nothing_in_them(name):
    nothing = ("command", "outcome", "exit_code", "execution_time_ms", "output_bytes", "since_at", "why", "state")
    empty = dict.fromkeys((*nothing, "last_error", "waited_to_run_ms", "waited_to_be_sent_ms"))
    row = {**empty, "command_id": "c1", "waiting_s": 0, "attempts": 0, "accepted_at": "2026-01-01T00:00:00Z"}
    assert len(table(LISTS[name], shortened([row]), 100)) == 2
