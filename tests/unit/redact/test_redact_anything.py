"""Whatever the text, however it is cut."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.redact import MARK, RULES, Redactor, redactor
from agent.redact.rules import places
from tests.kit import THOROUGH
from tests.unit.redact.cases import CASES

anything = settings(
    max_examples=3000 if THOROUGH else 150,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

TOKEN = next(rule for rule in RULES if rule.kind == "token")
LINES = sorted({line for case in CASES for line in case.text.splitlines()})
PARTS = ["\n", " ", "  ", '"', '\\"', "'", "\\", "\\n", ":", "=", "@", "://", "- ", "{", "}", ",", "|", ">",
         "\u0130", "ü", "\U0001f680", "\ufffd", "password", "token", "secret", "key", "name: ", "value: ",
         "kind: Secret", "data:", "-----BEGIN PRIVATE KEY-----",
         "eyJ", "LS0tLS1CRUdJTi", "mysql", "curl", " -p", " -u", "a1B2c3D4e5F6g7H8i9"]  # fmt: skip
text = st.lists(st.sampled_from(LINES) | st.sampled_from(PARTS) | st.text(max_size=8), max_size=60).map("".join)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {"WINDOW": 400, "AHEAD": 150, "BEHIND": 100}.items():
        monkeypatch.setattr(redactor, name, size)


def redacted(pieces: list[str]) -> tuple[str, Redactor]:
    stream = Redactor()
    return "".join([stream.feed(piece) for piece in pieces] + [stream.end()]), stream


@anything
@given(text, st.data())
def test_each_cut_gives_the_same(whole: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    wanted, stream = redacted([whole])
    assert redacted([whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)])[0] == wanted
    assert redacted(list(whole))[0] == wanted
    assert stream.counts["failed"] == 0


@anything
@given(text)
def test_no_text_grows_without_bound(whole: str) -> None:
    out, stream = redacted([whole])
    taken = sum(stream.counts.values())
    assert len(out) <= len(whole) + taken * len(MARK)
    assert len(out) <= 4 * len(whole) + 100
    assert out.count(MARK) >= whole.count(MARK) or taken


@anything
@given(text)
def test_what_is_left_was_there(whole: str) -> None:
    at = 0
    for rest in redacted([whole])[0].split(MARK):
        piece = rest.strip("\\\"'")  # a number's mark has quotes of its own
        found = whole.find(piece, at)
        assert found >= 0
        at = found + len(piece)


@anything
@given(st.text(st.characters(exclude_categories=["Cs"])) | text)
def test_text_without_an_anchor_is_not_changed(whole: str) -> None:
    if len(list(places(RULES, whole))) == 1 and not list(TOKEN.find(whole, 0)):
        assert redacted([whole])[0] == whole
