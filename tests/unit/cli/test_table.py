"""Tables: as wide as the terminal, and nothing in them that a terminal obeys."""

import pytest

from agent.cli.lists import LISTS, plain, shortened, table

COLUMNS = (
    ("ID", lambda row: row["command_id"]),
    ("N", lambda row: row["n"]),
    ("COMMAND", lambda row: row["command"]),
)


def rows(*commands):
    return [{"command_id": f"c{i}", "command": command, "n": f"{i * 100}"} for i, command in enumerate(commands)]


def test_columns_line_up():
    assert table(COLUMNS, rows("get pods", "top node")) == [
        "ID  N    COMMAND",
        "c0  0    get pods",
        "c1  100  top node",
    ]


def test_a_line_ends_where_the_terminal_does(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = table(COLUMNS, rows("get pods --all-namespaces --field-selector=status.phase!=Running", "x"))
    assert lines[1] == "c0  0    get pods --all-namespaces --fi…"
    assert len(lines[1]) == 40
    assert lines[2] == "c1  100  x"


def test_what_a_terminal_would_obey_is_spelled_out():
    assert plain("a\x1b[2Jb\nc\u202e") == "a\\u001b[2Jb\\nc\\u202e"
    assert plain("a\tb\nc\x1b]0;title\x07", keep="\n\t") == "a\tb\nc\\u001b]0;title\\u0007"


def test_ids_are_as_short_as_they_can_be():
    ids = ["1f0c3a5e-aaaa", "1f0c3a5e-bbbb", "7d", "9e107d9d372bb682"]
    short = [row["command_id"] for row in shortened([{"command_id": command_id} for command_id in ids])]
    assert short == ["1f0c3a5e-a", "1f0c3a5e-b", "7d", "9e107d9d37"]


def test_an_id_that_begins_another_stays_whole():
    short = [row["command_id"] for row in shortened([{"command_id": "command-1"}, {"command_id": "command-10"}])]
    assert short == ["command-1", "command-10"]


@pytest.mark.parametrize("name", LISTS)
def test_lists_show_rows_with_nothing_in_them(name):
    nothing = ("command", "outcome", "exit_code", "execution_time_ms", "output_bytes", "since_at", "why", "state")
    empty = dict.fromkeys((*nothing, "last_error", "waited_to_run_ms", "waited_to_be_sent_ms"))
    row = {**empty, "command_id": "c1", "waiting_s": 0, "attempts": 0, "accepted_at": "2026-01-01T00:00:00Z"}
    assert len(table(LISTS[name], [row])) == 2
