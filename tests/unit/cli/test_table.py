"""Tables: as wide as the terminal, and nothing in them that a terminal obeys."""

import pytest

from agent.cli.spool import LISTS, plain, shown, table

COLUMNS = "command_id waiting_s command"


def rows(*commands):
    return [{"command_id": f"c{i}", "command": command, "waiting_s": i * 100} for i, command in enumerate(commands)]


def test_columns_line_up():
    assert table(COLUMNS, rows("get pods", "top node")) == [
        "ID  WAITING     COMMAND",
        "c0  0 s         get pods",
        "c1  1 min 40 s  top node",
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("output_bytes", 4096, "4 KiB"),
        ("execution_time_ms", 70, "70 ms"),
        ("execution_time_ms", 61_000, "1 min 1 s"),
        ("exit_code", 0, "0"),
        ("why", "a\nb", "a\\nb"),
        ("settled_at", None, ""),
    ],
)
def test_a_value_is_shown_by_its_names_unit(name, value, words):
    assert shown(name, value) == words


def test_a_line_ends_where_the_terminal_does(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = table(COLUMNS, rows("get pods --all-namespaces --field-selector=status.phase!=Running", "x"))
    assert lines[1] == "c0  0 s         get pods --all-namespac…"
    assert len(lines[1]) == 40
    assert lines[2] == "c1  1 min 40 s  x"


def test_what_a_terminal_would_obey_is_spelled_out():
    assert plain("a\x1b[2Jb\nc\u202e") == "a\\u001b[2Jb\\nc\\u202e"
    assert plain("a\tb\nc\x1b]0;title\x07", keep="\n\t") == "a\tb\nc\\u001b]0;title\\u0007"


def test_ids_are_as_short_as_they_can_be():
    ids = ["1f0c3a5e-aaaa", "1f0c3a5e-bbbb", "7d", "9e107d9d372bb682"]
    _, *short = table("command_id", [{"command_id": command_id} for command_id in ids])
    assert short == ["1f0c3a5e-a", "1f0c3a5e-b", "7d", "9e107d9d37"]


def test_an_id_that_begins_another_stays_whole():
    _, *short = table("command_id", [{"command_id": "command-1"}, {"command_id": "command-10"}])
    assert short == ["command-1", "command-10"]


def test_columns_with_nothing_in_them_are_left_out():
    assert table(
        LISTS["recent"], [{**dict.fromkeys(LISTS["recent"].split()), "command_id": "c1", "state": "accepted"}]
    ) == [
        "ID  STATE",
        "c1  accepted",
    ]


def test_what_isnt_last_is_cut_to_leave_room():
    (_, line) = table("command_id command why", [{"command_id": "c", "command": "x" * 100, "why": "that"}])
    assert line == f"c   {'x' * 39}…  that"
