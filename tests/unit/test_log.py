"""One line an event."""

import json
import logging
import sys

import pytest

from agent import log


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger("kubently").handlers.clear()


@pytest.fixture
def lines(capsys):
    def read():
        return capsys.readouterr().err.splitlines()

    return read


def test_json(lines):
    log.set_up("INFO", "json")
    log.Log("poller").info("command accepted", command_id="c1", session_id=None, size=3)
    (line,) = lines()
    event = json.loads(line)
    assert event.pop("time").endswith("Z")
    assert event == {"level": "INFO", "task": "poller", "event": "command accepted", "command_id": "c1", "size": 3}


def test_text_quotes_what_would_mislead_the_eye(lines):
    log.set_up("INFO", "text")
    log.Log("api").warning("gone", reason='two words\n"x"', id="c1", seconds=12.345, ratio=0.01234, empty="")
    (line,) = lines()
    assert " WARNING api        gone " in line
    assert line.endswith(r'reason="two words\n\"x\"" id=c1 seconds=12.3 ratio=0.0123 empty=""')


def test_the_level_is_kept_and_json_is_the_default_off_a_terminal(lines):
    log.set_up("WARNING", None)
    log.Log("x").debug("no")
    log.Log("x").info("no")
    log.Log("x").error("yes", path=object)
    (line,) = lines()
    assert json.loads(line)["event"] == "yes"


def test_text_on_a_terminal(lines, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log.set_up("DEBUG", None)
    log.Log("x").debug("hello")
    assert lines()[0].endswith("hello")
