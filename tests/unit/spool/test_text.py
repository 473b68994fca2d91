import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import PIECE_CHARS
from agent.spool.text import NOTHING, clean, prefix, split

ODD = st.text("a\0é\ud800\U0001f600", max_size=8)
TEXT = st.text('aé\n\x01\b"\\\x7f\u2028\U0001f600', max_size=40)


@given(ODD)
def test_clean_text_can_be_stored_and_is_the_same_where_it_could_be_before(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned.encode().decode()
    assert clean(cleaned) == cleaned
    if "\ud800" not in text and "\0" not in text:
        assert cleaned == text


@given(TEXT, st.integers(4, 20))
def test_pieces_join_to_the_whole_and_are_small(text: str, size: int) -> None:
    pieces = list(split(text, size))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= size for piece in pieces)


def test_a_small_text_is_one_piece() -> None:
    assert list(split("x" * PIECE_CHARS)) == ["x" * PIECE_CHARS]
    assert list(split("")) == []


@pytest.mark.parametrize(("length", "expected"), [(0, ""), (1, ""), (2, "é"), (3, "é"), (4, "éé"), (9, "éé")])
def test_a_prefix_ends_at_a_character(length: int, expected: str) -> None:
    assert prefix("éé".encode()[:length]) == expected


@given(st.lists(TEXT, max_size=5))
def test_sums_are_those_of_the_whole(pieces: list[str]) -> None:
    written = NOTHING
    for piece in pieces:
        written = written.plus(piece)
    whole = "".join(pieces)
    assert (written.crc, written.bytes) == (NOTHING.plus(whole).crc, len(whole.encode()))
    assert written.json_bytes == len(json.dumps(whole, ensure_ascii=False).encode()) - 2
    assert written.parts == len(pieces)
