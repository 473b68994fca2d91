"""A body read in chunks is the same as one read at once, and long strings stay out of memory."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.body import LONG_STRING_BYTES, BadBody, Body

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(data: bytes, cut: int) -> object:
    body = Body(Path("/tmp"))
    try:
        for chunk in pieces(data, cut):
            body.feed(chunk)
        assert body.raw() == data
        return body.parse()
    finally:
        body.close()


def pieces(data: bytes, cut: int) -> Iterator[bytes]:
    for start in range(0, len(data), cut):
        yield data[start : start + cut]


@settings(max_examples=50, deadline=None)
@given(value=VALUES, cut=st.integers(1, 40), ascii_only=st.booleans())
def test_any_value_in_any_chunks(value: object, cut: int, ascii_only: bool) -> None:
    assert read(json.dumps(value, ensure_ascii=ascii_only).encode(), cut) == value


@settings(deadline=None)
@given(data=st.binary(max_size=60), cut=st.integers(1, 20))
def test_what_json_refuses_is_refused(data: bytes, cut: int) -> None:
    try:
        wanted: object = json.loads(data.decode())
    except ValueError:
        with pytest.raises(BadBody):
            read(data, cut)
    else:
        assert read(data, cut) == wanted


@pytest.mark.parametrize("text", ['"\\x"', '"\\u12g4"', '"a\nb"', '"a', "NaN", "Infinity", "[1,]", "", '{"a":1}}'])
def test_examples_that_are_refused(text: str) -> None:
    for cut in (1, 2, 100):
        with pytest.raises(BadBody):
            read(text.encode(), cut)


def test_bytes_that_are_not_utf8_are_refused_even_across_chunks() -> None:
    with pytest.raises(BadBody, match="UTF-8"):
        read(b'"\xc3\x28"', 2)
    with pytest.raises(BadBody):
        read(b'"\xc3', 2)


def test_of_a_long_string_only_the_beginning_is_in_the_value() -> None:
    long = "line of a log\n" * 60_000
    body = Body(Path("/tmp"))
    for chunk in pieces(json.dumps({"before": 1, "output": long, "after": [2]}).encode(), 65_536):
        body.feed(chunk)
    value = body.parse()
    body.close()
    assert isinstance(value, dict)
    assert (value["before"], value["after"]) == (1, [2])
    assert body.shortened
    assert len(value["output"]) < LONG_STRING_BYTES + 100
    assert value["output"].startswith("line of a log\nline of a log\n")
    assert value["output"].endswith("bytes in all]")


def test_the_same_bytes_have_the_same_digest_however_they_come() -> None:
    one, other = Body(Path("/tmp")), Body(Path("/tmp"))
    one.feed(b'{"a": 1}')
    other.feed(b'{"a"')
    other.feed(b": 1}")
    assert one.digest == other.digest
    one.close()
    other.close()
