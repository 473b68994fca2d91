"""The token's file: read when it changes, and after a refusal."""

import os

from agent.link.token import Token


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
    monkeypatch.setattr("agent.filewatch._stamp", lambda _: (1, 1, 1, 1))
    path = tmp_path / "token"
    write(path, "first\n", 1)
    token = Token(None, path)
    assert token.current() == "first"
    path.write_text("other\n")
    assert token.current() == "first", "it looks the same"
    token.reread()
    assert token.current() == "other"
