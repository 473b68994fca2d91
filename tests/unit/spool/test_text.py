import json

from hypothesis import given
from hypothesis import strategies as st

from agent.spool.values import NOTHING, clean

ODD = st.text("a\0é\ud800\U0001f600", max_size=8)
TEXT = st.text('aé\n\x01\b"\\\x7f\u2028\U0001f600', max_size=40)


@given(ODD)
def test_clean_text_can_be_stored_and_is_the_same_where_it_could_be_before(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned.encode().decode()
    assert clean(cleaned) == cleaned
    if "\ud800" not in text and "\0" not in text:
        assert cleaned == text


@given(st.lists(TEXT, max_size=5))
def test_sums_are_those_of_the_whole(pieces: list[str]) -> None:
    written = NOTHING
    for piece in pieces:
        written = written.plus(piece.encode())
    whole = "".join(pieces)
    assert (written.crc, written.bytes) == (NOTHING.plus(whole.encode()).crc, len(whole.encode()))
    assert written.json_bytes == len(json.dumps(whole, ensure_ascii=False).encode()) - 2
    assert written.parts == len(pieces)
