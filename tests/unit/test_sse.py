"""The event stream's grammar, whatever the pieces it comes in."""

import json
import random
import tracemalloc

import pytest

from agent.link.sse import MAX_EVENT_BYTES, Event, EventParser

WIRE = (
    b"event: connected\r\n"
    b'data: {"status": "connected"}\r\n'
    b"\r\n"
    b": ping - 2026-01-31 12:00:00+00:00\r\n"
    b"\r\n"
    b"event: command\r\n"
    b"id: 7\r\n"
    b"retry: 1\r\n"
    b'data: {"id": "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x99",\r\n'
    b'data:  "args": []}\r\n'
    b"\r\n"
    b"data\r\n"
    b"\r\n"
    b"event: nothing\r\n"
    b"\r\n"
)
EVENTS = [
    ("connected", '{"status": "connected"}'),
    ("command", '{"id": "ä€🐙",\n "args": []}'),
    ("message", ""),
]


def parse(*chunks: bytes) -> list[Event]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b"\r"])
def test_every_kind_of_line_end_cut_at_every_byte(ending):
    wire = WIRE.replace(b"\r\n", ending)
    for cut in range(len(wire) + 1):
        assert parse(wire[:cut], wire[cut:]) == EVENTS
    assert parse(*(wire[i : i + 1] for i in range(len(wire)))) == EVENTS


def test_line_ends_may_be_mixed():
    assert parse(b"data: a\r", b"\ndata: b\n", b"\r\n") == [("message", "a\nb")]
    assert parse(b"data: a\r\r") == [("message", "a")]
    assert parse(b"data: a\n\r\ndata: b\r", b"\r") == [("message", "a"), ("message", "b")]


def test_an_event_is_there_as_soon_as_its_empty_line_is():
    parser = EventParser()
    assert parser.feed(b"data: a\r\n") == []
    assert parser.feed(b"\r") == [("message", "a")]
    assert parser.feed(b"\n") == []
    assert parser.feed(b"data: b\r\n\r\n") == [("message", "b")]


@pytest.mark.parametrize(
    ("wire", "data"),
    [
        (b"data:a", "a"),
        (b"data: a", "a"),
        (b"data:  a", " a"),
        (b"data:", ""),
        (b"data", ""),
        (b"data: a:b", "a:b"),
        (b"data: a\x0bb\x0cc\x1cd\xc2\x85e\xe2\x80\xa8f", "a\x0bb\x0cc\x1cd\x85e\u2028f"),
        (b"data: \xff\xfe", "\ufffd\ufffd"),
        (b"data: a\0b", "a\0b"),
    ],
)
def test_values(wire, data):
    assert parse(wire + b"\n\n") == [("message", data)]


@pytest.mark.parametrize(
    "wire", [b"event: x", b": comment", b"Data: a", b" data: a", b"unknown: a", b"id: 1", b"retry: 5"]
)
def test_what_is_no_event(wire):
    assert parse(wire + b"\n\n", b"data: next\n\n")[-1] == ("message", "next")
    assert len(parse(wire + b"\n\n")) == 0


def test_the_last_name_counts_and_is_forgotten_with_its_event():
    assert parse(b"event: a\nevent: b\ndata: 1\n\ndata: 2\n\n") == [("b", "1"), ("message", "2")]


def test_an_unfinished_event_is_none():
    assert parse(b"event: command\ndata: {}\n") == []


def largest(name: bytes = b"data: ") -> bytes:
    return name + b"x" * (MAX_EVENT_BYTES - len(name))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"data: " + b"x" * (MAX_EVENT_BYTES + 1) + b"\n", id="one line"),
        pytest.param(b"data: " + b"x" * (4 * MAX_EVENT_BYTES) + b"\ndata: x\n", id="one line and another"),
        pytest.param(b"data: " + b"x" * 1000 + b"\n", id="fits"),
        pytest.param((b"data: " + b"x" * 1000 + b"\n") * 300, id="many lines"),
        pytest.param(b"data\n" * (MAX_EVENT_BYTES + 1), id="many empty lines"),
    ],
)
@pytest.mark.parametrize("step", [999, 1 << 30])
def test_what_is_too_large_is_dropped_and_the_next_event_is_whole(body, step):
    wire = b"event: command\n" + body + b"\nevent: command\ndata: next\n\n"
    first, second = parse(*(wire[i : i + step] for i in range(0, len(wire), step)))
    fits = len(body) < 2000
    assert first == ("command", "x" * 1000 if fits else None)
    assert second == ("command", "next")


def test_the_largest_that_fits():
    assert parse(largest() + b"\n\n") == [("message", "x" * (MAX_EVENT_BYTES - 6))]


@pytest.mark.parametrize("begins", [b":", b"y"])
def test_a_long_line_that_is_no_data_is_passed_over(begins):
    assert parse(b"data: a\n" + begins + b"x" * (2 * MAX_EVENT_BYTES) + b"\n\n") == [("message", "a")]


def test_a_line_without_end_takes_no_memory():
    parser = EventParser()
    chunk = b"x" * 65536
    tracemalloc.start()
    try:
        for _ in range(1000):
            parser.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MAX_EVENT_BYTES


def test_anything_at_all_is_bounded_and_harmless():
    chance = random.Random(8)
    pieces = [b"\r", b"\n", b"\r\n", b":", b"data: ", b"event:", b"\0", b"{", b"xxx", b"\xff"]
    for _ in range(1000):
        wire = b"".join(chance.choice(pieces) for _ in range(12))
        whole = parse(wire)
        step = chance.randint(1, 5)
        assert parse(*(wire[i : i + step] for i in range(0, len(wire), step))) == whole
        assert json.dumps(whole)
