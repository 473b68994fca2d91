"""Bytes into text: whole characters, small pieces, an exact cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kubectl.client import Text

MUCH = 1 << 30


def fed(text: Text, *chunks: bytes) -> str:
    pieces = [piece for chunk in chunks for piece in text.feed(chunk)]
    pieces.extend(text.feed(b""))
    assert all(pieces), "an empty piece says nothing"
    return "".join(pieces)


def readable(data: bytes) -> str:
    return data.decode(errors="replace").replace("\0", "\ufffd")


@given(st.lists(st.binary(min_size=1, max_size=9)))
def test_however_it_is_chopped_the_text_is_the_same(chunks: list[bytes]) -> None:
    text = Text(MUCH)
    assert fed(text, *chunks) == readable(b"".join(chunks))
    assert (text.total, text.truncated) == (sum(map(len, chunks)), False)


@given(
    st.lists(st.text(min_size=1, max_size=9).map(str.encode) | st.binary(min_size=1, max_size=9)), st.integers(0, 60)
)
def test_the_cap_is_in_bytes_of_text_and_cuts_at_a_character(chunks: list[bytes], cap: int) -> None:
    text = Text(cap)
    kept, whole = fed(text, *chunks), readable(b"".join(chunks))
    assert whole.startswith(kept)
    assert len(kept.encode()) <= cap
    assert text.truncated == (kept != whole)
    if text.truncated:
        following = whole[len(kept)]
        assert len((kept + following).encode()) > cap, "there would have been room for one more character"
    assert text.total == sum(map(len, chunks))


@pytest.mark.parametrize("character", ["é", "€", "😀"])
def test_a_character_split_between_two_reads(character: str) -> None:
    first, *rest = (bytes([byte]) for byte in character.encode())
    text = Text(MUCH)
    assert list(text.feed(first)) == []
    assert fed(text, *rest) == character


def test_an_unfinished_character_at_the_end() -> None:
    assert fed(Text(MUCH), b"a\xe2\x82") == "a\ufffd"


def test_nul_is_replaced() -> None:
    assert fed(Text(MUCH), b"a\0b") == "a\ufffdb"


def test_exactly_at_the_cap_nothing_is_cut() -> None:
    text = Text(5)
    assert fed(text, b"ab", b"cde") == "abcde"
    assert not text.truncated


def test_one_beyond_the_cap() -> None:
    text = Text(5)
    assert fed(text, b"abcde", b"f") == "abcde"
    assert (text.truncated, text.total) == (True, 6)


def test_nothing_follows_a_cut() -> None:
    """A smaller character that would still have fitted would make a hole in the text."""
    text = Text(5)
    assert fed(text, b"abc\xf0\x9f\x98\x80", b"d") == "abc"
    assert text.total == 8
