"""The token's file: read when it changes, and after a refusal."""

import os

import pytest

from agent.errors import LinkDown
from agent.link.credentials import Token


def write(path, text, date):
    path.write_text(text)
    os.utime(path, ns=(date, date))


def test_a_file_that_changes_is_read_again(tmp_path):
    path = tmp_path / "token"
    write(path, "first\n", 1)
    token = Token(None, path)
    assert [token.current(), token.current()] == ["first", "first"]
    write(path, "other\n", 2)
    assert token.current() == "other", "without waiting for a refusal"


def test_after_a_refusal_it_is_read_whatever_its_date_says(tmp_path, monkeypatch):
    monkeypatch.setattr("agent.settings._stamp", lambda _: (1, 1, 1, 1))
    path = tmp_path / "token"
    write(path, "first\n", 1)
    token = Token(None, path)
    assert token.current() == "first"
    path.write_text("other\n")
    assert token.current() == "first", "it looks the same"
    token.reread()
    assert token.current() == "other"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\ufeffother\n", "holds no token"),
        ("other\nand a comment\n", "holds no token"),
        ("'other'\n", "without quotes"),
        ("", "is empty"),
        ("öther one", "holds no token"),
        (None, "can't be read: No such file"),
    ],
)
def test_a_rotated_file_that_breaks_the_rules_isnt_used_and_is_told_once(tmp_path, monkeypatch, text, says):
    path = tmp_path / "token"
    path.write_text("first\n")
    token = Token(None, path)
    assert token.current() == "first"
    lines = []
    monkeypatch.setattr("agent.log.sinks", [lambda *line: lines.append(line)])
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    assert [token.current(), token.current()] == ["first", "first"]
    ((level, _, _, fields),) = lines
    assert (level, fields["file"]) == ("WARNING", str(path))
    assert says in fields["reason"]
    assert "other" not in str(fields)
    path.write_text("third\n")
    assert token.current() == "third"
    path.write_text("four five\n")
    assert token.current() == "third"
    assert len(lines) == 2, "a new mistake is told anew"


def test_one_that_breaks_them_from_the_start_is_waited_for(tmp_path):
    path = tmp_path / "token"
    path.write_text("two words")
    token = Token(None, path)
    with pytest.raises(LinkDown, match="holds no token") as down:
        token.current()
    assert down.value.refused
    path.write_text("first")
    assert token.current() == "first"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_rights_that_come_later_are_seen(tmp_path):
    path = tmp_path / "token"
    path.write_text("first")
    token = Token(None, path)
    token.current()
    path.write_text("another")
    path.chmod(0)
    assert token.current() == "first"
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:  # the clock of files stands still for some milliseconds
        path.chmod(0o600)
    assert token.current() == "another"
