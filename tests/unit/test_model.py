"""Text inside JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from agent.model import json_bytes, json_text

TEXT = st.text('aé\n\r\x01\b"\\\x7f\u2028\U0001f600', max_size=40)


@given(TEXT)
def test_it_is_as_the_standard_library_writes_it(text: str) -> None:
    assert json_text(text.encode()) == json.dumps(text, ensure_ascii=False)[1:-1].encode()
    assert json_bytes(text.encode()) == len(json_text(text.encode()))
