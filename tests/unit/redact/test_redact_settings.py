"""What the policy file can say, and what it can't."""

import re
from pathlib import Path

import pytest

import agent.redact
from agent.errors import PolicyError
from agent.redact import KINDS, Redaction, parse_redaction
from tests.unit.redact import cases


def redacted(text: str, **values: object) -> str:
    return cases.redacted(text, redaction=parse_redaction(values))


def test_nothing_said_means_all_rules() -> None:
    assert parse_redaction({"types": ["pods"]}) == Redaction()


def test_all_of_it_off() -> None:
    assert redacted("password=kx81Lmq0\n", redact=False) == "password=kx81Lmq0\n"


def test_one_kind_off() -> None:
    text = "redis://:kx92Lmq0@h password=kx81Lmq0\n"
    assert redacted(text, redact_off=["url"]) == "redis://:kx92Lmq0@h password=<redacted>\n"
    assert redacted(text, redact_off=list(KINDS)) == text


def test_own_names_are_taken_whatever_their_value() -> None:
    text = "Customer-No: plain\ncustomerno=x12\nother: plain\n- name: CUSTOMER-NO\n  value: word\nno customer-no here\n"
    wanted = text.replace("No: plain", "No: <redacted>").replace("value: word", "value: <redacted>")
    assert redacted(text, redact_keys=["customer-no"]) == wanted


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        (r"acme_[A-Za-z0-9]{8,40}", "use acme_Abcd1234 now", "use <redacted> now"),
        (r"corp-id: (\d+)", "corp-id: 12345, next", "corp-id: <redacted>, next"),
        (r"ABC\.(?:x|y|)-\w+!", "ABC.x-12! ABC.-9!", "<redacted> <redacted>"),
        (r"tok=[^ ;]*;", "tok=a1; b", "<redacted> b"),
        (r"zone[-.]\d{3}\s", "zone-123 x", "<redacted>x"),
    ],
)
def test_own_patterns(pattern: str, text: str, wanted: str) -> None:
    assert redacted(text, redact_patterns=[pattern]) == wanted


@pytest.mark.parametrize("pattern", ["abc(", "abc(?=x)", r"(a)\1", "abcx*+", "(?:x{1000}){1000}"])
def test_patterns_that_re2_does_not_know(pattern: str) -> None:
    with pytest.raises(PolicyError, match="redact_patterns"):
        parse_redaction({"redact_patterns": [pattern]})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"redact": "no"}, "redact is true or false"),
        ({"redact_off": "url"}, "redact_off is a list of at most 6 strings"),
        ({"redact_off": ["ulr"]}, "there is no rule 'ulr'; there are named, url"),
        ({"redact_keys": [1]}, "redact_keys is a list of at most 64 strings"),
        ({"redact_keys": ["a b"]}, "is not a name"),
        ({"redact_keys": ["x" * 201]}, "longer than 200"),
        ({"redact_keys": ["abc"] * 65}, "at most 64"),
        ({"redact_patterns": ["abc"] * 33}, "at most 32"),
    ],
)
def test_mistakes_get_a_sentence(values: dict[str, object], says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        parse_redaction(values)


def test_no_pattern_runs_for_ever() -> None:
    text = "a" * 50_000 + " kept"
    assert redacted(text, redact_patterns=["(a+)+b", "(?:a|a?)+c"]) == text


def test_a_pattern_that_matches_nothing_takes_nothing() -> None:
    assert redacted("abc kept", redact_patterns=["x*", "ab|$"]) == "<redacted>c kept"


def test_a_name_that_is_part_of_others_hides_none() -> None:
    text = "mypass: plain\nmypassword: kx81Lmq0\ncurlx: plain\ncurl -u a:kx82Lmq0 http://x\n"
    wanted = "mypass: <redacted>\nmypassword: <redacted>\ncurlx: <redacted>\ncurl -u a:<redacted> http://x\n"
    assert redacted(text, redact_keys=["mypass", "curlx"]) == wanted


def test_no_pattern_has_what_early_pythons_mistake() -> None:
    """A credential would be left half there: see agent/redact/values.py."""
    for file in Path(agent.redact.__file__).parent.glob("*.py"):
        found = re.findall(r"\)(?:[*+?]|\{+[\d,]+\}+)\+.*", file.read_text())
        assert [text for text in found if not text.startswith(")*+`")] == [], file.name
