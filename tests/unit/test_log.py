"""One line an event."""

import json
import logging
import os
import sys
import threading
from contextlib import contextmanager

import pytest

from agent import log


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger("kubently").handlers.clear()


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
    output = log._Output(writer)
    output.setFormatter(log._Line(as_text=False))
    logger = logging.getLogger("kubently")
    logger.handlers[:] = [output]
    logger.setLevel("INFO")
    logger.propagate = False
    try:
        yield output, reader
    finally:
        logger.handlers.clear()
        os.close(writer)
        os.close(reader)


def fill(count):
    for number in range(count):
        log.Log("x").info("event", number=number, text="x" * 10_000)


def read_all(reader, output):
    """Everything, as soon as the writer's thread has nothing more."""
    with os.fdopen(reader, "rb", closefd=False) as file:
        while thread := output._thread:
            for line in file:
                yield json.loads(line)
                if b"dropped" in line:
                    thread.join()
                    break


def test_nobody_waits_for_a_reader_and_nothing_is_lost_in_the_buffer():
    with unread_pipe() as (output, reader):
        fill(50)
        log.Log("x").info("nobody read the log, lines were dropped")  # ends this test's reading
        events = list(read_all(reader, output))
    assert [event.get("number") for event in events] == [*range(50), None]


def test_what_is_dropped_is_counted_and_said_later():
    with unread_pipe() as (output, reader):
        fill(200)
        assert len(output._waiting) <= log.BUFFER_BYTES
        *kept, last = read_all(reader, output)
        assert output._thread is None
    assert [event["number"] for event in kept] == list(range(len(kept)))
    assert last["event"] == "nobody read the log, lines were dropped"
    assert (last["level"], last["task"], last["count"]) == ("WARNING", "log", 200 - len(kept))


def test_a_reader_that_is_gone_is_no_error():
    reader, writer = os.pipe()
    output = log._Output(writer)
    output.setFormatter(log._Line(as_text=False))
    os.close(reader)
    output.emit(logging.makeLogRecord({"msg": "to nobody", "name": "kubently.x"}))
    assert not output._waiting
    assert output._thread is None
    os.close(writer)


def test_the_end_of_the_process_waits_only_a_moment(monkeypatch):
    monkeypatch.setattr(log, "FLUSH_SECONDS", 0.01)
    with unread_pipe() as (output, reader):
        output.flush()  # nothing waits
        fill(50)
        output.flush()  # a dead reader
        assert output._thread is not None
        log.Log("x").info("nobody read the log, lines were dropped")
        assert len(list(read_all(reader, output))) == 51


def test_without_a_thread_to_be_had_the_next_line_tries_again(monkeypatch):
    def none(_thread):
        raise RuntimeError("can't start new thread")

    with unread_pipe() as (output, reader):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none)
            fill(20)
        assert output._thread is None
        log.Log("x").info("nobody read the log, lines were dropped")
        assert len(list(read_all(reader, output))) == 21
