"""One line an event."""

import json
import os
import select
import subprocess
import sys
from contextlib import contextmanager

import pytest

from agent import log


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(log, "sinks", [])


@pytest.fixture
def lines(capfd):
    def read():
        return capfd.readouterr().err.splitlines()

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


@contextmanager
def unread_pipe():
    """A log into a pipe that nobody reads, and the end from which it could be read."""
    reader, writer = os.pipe()
    output = log.Lines(writer, "INFO", as_text=False)
    log.sinks[:] = [output.take]
    try:
        yield output, reader
    finally:
        os.close(writer)
        os.close(reader)


def fill(count):
    for number in range(count):
        log.Log("x").info("event", number=number, text="x" * 10_000)


def read_all(reader, output):
    """Everything: what goes beyond a pipe comes with the end of the process."""
    read = b""
    while select.select([reader], [], [], 0)[0]:
        read += os.read(reader, 1 << 16)
        output.flush()
    return [json.loads(line) for line in read.splitlines()]


@pytest.fixture(autouse=True)
def moment(monkeypatch):
    monkeypatch.setattr(log, "FLUSH_SECONDS", 0.01)


def test_nobody_waits_for_a_reader_and_nothing_is_lost_in_the_buffer():
    with unread_pipe() as (output, reader):
        fill(50)
        assert output._waiting
        output.flush()  # waits only a moment
        assert [event["number"] for event in read_all(reader, output)] == list(range(50))


def test_what_waits_comes_with_the_next_line():
    with unread_pipe() as (output, reader):
        fill(7)
        assert os.read(reader, 1 << 16)
        log.Log("x").info("event")
        assert not output._waiting


def test_what_is_dropped_is_counted_and_said_later():
    with unread_pipe() as (output, reader):
        fill(200)
        assert len(output._waiting) <= log.BUFFER_BYTES
        *kept, last = read_all(reader, output)
    assert [event["number"] for event in kept] == list(range(len(kept)))
    assert last["event"] == "nobody read the log, lines were dropped"
    assert (last["level"], last["task"], last["count"]) == ("WARNING", "log", 200 - len(kept))


def test_a_reader_that_is_gone_is_no_error():
    with unread_pipe() as (output, reader):
        os.close(reader)
        log.Log("x").info("to nobody")
        assert not output._waiting
        os.dup2(output._fd, reader)  # there again, to be closed


def test_another_process_may_fill_the_pipe_first(monkeypatch):
    def full(*_):
        raise BlockingIOError

    with unread_pipe() as (output, reader):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            fill(1)
        assert len(read_all(reader, output)) == 0
        output.flush()
        assert len(read_all(reader, output)) == 1


def test_what_libraries_log_goes_nowhere():
    """When descriptors run out, trio waits and tries again, and logs a traceback each time."""
    program = "import logging; from agent import log; log.set_up('DEBUG', 'text'); logging.error('a traceback')"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stderr == b""
