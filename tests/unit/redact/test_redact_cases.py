"""What is taken and what stays, form by form; and the same wherever a window ends."""

import random

import pytest

from agent.redact import MARK, Redactor, redactor
from tests.unit.redact.cases import CASES, Case, redacted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_taken_and_left(case: Case) -> None:
    assert redacted(case.text) == case.wanted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_marks_and_placeholders_are_not_taken_again(case: Case) -> None:
    assert redacted(case.wanted) == case.wanted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_at_each_edge_of_a_window(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redactor, "WINDOW", 4096)
    monkeypatch.setattr(redactor, "AHEAD", 1500)
    monkeypatch.setattr(redactor, "BEHIND", 1500)
    for before in range(4096 - 1500 - len(case.text) - 20, 4096 - 1500 + 20, 7):
        lead = f"{'.' * 60}\n" * (before // 61) + "." * (before % 61) + "\n"
        assert redacted(lead + case.text + lead) == lead + case.wanted + lead, before


def ordinary(size: int) -> str:
    """Lines without anything to take."""
    chance = random.Random(1)
    lines = []
    while size > 0:
        lines += [
            f"2026-11-27T08:00:{chance.randrange(60):02}Z INFO order {chance.getrandbits(40):x} accepted\n",
            f'    - name: PORT_{chance.randrange(99)}\n      value: "{chance.randrange(9999)}"\n',
            f'{{"level":"info","path":"/v1/{chance.randrange(99)}","trace_id":"{chance.getrandbits(128):032x}"}}\n',
        ]
        size -= sum(map(len, lines[-3:]))
    return "".join(lines)


def test_what_is_clean_passes_as_it_is() -> None:
    text = ordinary(600_000)
    assert redacted(text) == text


def test_pieces_do_not_matter() -> None:
    text = ordinary(270_000) + "".join(case.text for case in CASES) + ordinary(70_000)
    whole = redacted(text)
    assert MARK in whole
    for size in (1, 7, 1000, 65_536):
        assert redacted(*(text[at : at + size] for at in range(0, len(text), size))) == whole


def test_little_is_held_back() -> None:
    stream = Redactor()
    text = ordinary(900_000)
    given = 0
    for at in range(0, len(text), 5000):
        given += len(stream.feed(text[at : at + 5000]))
        assert at + 5000 - given <= 280_000


def test_a_long_word_hides_no_token_after_it() -> None:
    token = "ghp_" + "0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX"
    assert redacted(f"{'a' * 10_000} {token} end") == f"{'a' * 10_000} <redacted> end"


LONG = "Vq7x" * 250_000


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"blob_secret: {LONG}\nregion: eu\n", "blob_secret: <redacted>\nregion: eu\n"),
        (f'{{"password": "{LONG}", "region": "eu"}}', '{"password": "<redacted>", "region": "eu"}'),
        (f"password={LONG} region=eu\n", "password=<redacted> region=eu\n"),
        (f"<password>{LONG}</password>", "<password><redacted></password>"),
        (f"https://u@h eyJhbGciOiJIUzI1NiJ9.{LONG} end", "https://u@h <redacted> end"),
        (
            "- name: A_TOKEN\n  value: |\n" + "    Vq7x8\n" * 100_000 + "- name: B\n",
            "- name: A_TOKEN\n  value: |\n    <redacted>\n- name: B\n",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\n" + ("Vq7x" * 16 + "\n") * 10_000 + "-----END PRIVATE KEY-----\nregion: eu\n",
            "-----BEGIN PRIVATE KEY-----\n<redacted>\n-----END PRIVATE KEY-----\nregion: eu\n",
        ),
        ("-----BEGIN PRIVATE KEY-----\n" + ("Vq7x" * 16 + "\n") * 10_000, "-----BEGIN PRIVATE KEY-----\n<redacted>"),
    ],
    ids=lambda value: value[:20],
)
def test_a_value_longer_than_any_window(text: str, wanted: str) -> None:
    assert redacted(text) == wanted


@pytest.mark.parametrize(
    "stamp", ["", "2026-11-28T11:41:07.000000001Z ", "[pod/web-0/app] ", "[pod/web-0/app] 2026-11-28T11:41:07.1+01:00 "]
)
@pytest.mark.parametrize("lines", [1, 5, 6000])
def test_a_key_in_a_log_whose_lines_have_their_time_or_origin_in_front(stamp: str, lines: int) -> None:
    key = ["-----BEGIN PRIVATE KEY-----", *["Vq7x" * 16] * lines, "Vq7xVq==", "-----END PRIVATE KEY-----", "region: eu"]
    wanted = f"{stamp}{key[0]}\n{stamp}<redacted>\n{stamp}{key[-2]}\n{stamp}{key[-1]}\n"
    for before in range(120 if lines > 1000 else 1):  # so that windows begin anywhere within a line
        text = "".join(f"{stamp}{line}\n" for line in key)
        assert redacted("x" * before + "\n" + text) == "x" * before + "\n" + wanted


@pytest.mark.parametrize(
    "odd",
    ["password=", "eyJ", "LS0tLS1CRUdJTi", "://a:", "x:y@", "token: ", "name: ", "mysql -", "kind: Secret{",
     "-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n", *"a0A_-=:.@/\\\"&?$\n "],
)  # fmt: skip
def test_what_comes_after_something_odd_stays(odd: str) -> None:
    """Nor does it take for ever; the suite would notice."""
    text = odd * (150_000 // len(odd))
    assert redacted(f"{text}\nregion: eu\n").endswith("\nregion: eu\n")


@pytest.mark.parametrize("tail", ["\\" * 200_000, '\\"' * 100_000, "\\\\\\n" * 50_000])
def test_a_quote_that_never_closes(tail: str) -> None:
    assert redacted(f'{{"password":"x{tail}\nregion: eu\n') == '{"password":"<redacted>\nregion: eu\n'


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mode: fast\npassword: Vq7#x", "mode: fast\npassword: <redacted>"),
        ("url: postgres://app:Vq7x", "url: postgres://app:<redacted>"),
        ("url: https://app:8443", "url: https://app:8443"),
        ("jwt eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJh", "jwt <redacted>"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEAVCiKtP", "-----BEGIN PRIVATE KEY-----\n<redacted>"),
        ("password", "password"),
        ("", ""),
    ],
)
def test_a_text_that_ends_within_a_credential(text: str, wanted: str) -> None:
    assert redacted(text) == wanted


def test_a_text_that_was_cut_loses_its_last_word() -> None:
    stream = Redactor()
    assert stream.feed("mode: fast\nuse ghp_0aB1cD2") + stream.end(cut=True) == "mode: fast\nuse "


def test_the_quote_that_closes_a_name_opens_no_value() -> None:
    assert redacted('{"password=": 1234567, "b": 1}') == '{"password=": 1234567, "b": 1}'


def test_half_a_surrogate_pair_is_no_obstacle() -> None:
    token = "ghp_" + "0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX"
    assert redacted(f"\ud800 password: kx81Lmq0 \udfff {token}\n") == "\ud800 password: <redacted> \udfff <redacted>\n"


def test_tokens_that_each_other_goes_on_into_are_one() -> None:
    text = "-eyJaaaaaaa-ghp_0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX" * 5000  # nor does it take for ever
    assert redacted(f"x {text} y\n") == "x -eyJaaaaaaa-<redacted> y\n"


def test_a_hash_with_its_name_before_it() -> None:
    assert redacted("x SCRAM-SHA-256$4096:" + "aB1+" * 12 + "= y\n") == "x <redacted> y\n"


def test_json_stays_json_where_a_number_was() -> None:
    assert redacted('{"password": 12345678, "n": 1}') == '{"password": "<redacted>", "n": 1}'
    assert redacted(r'{"log": "{\"db_password\":98765432}"}') == r'{"log": "{\"db_password\":\"<redacted>\"}"}'


def test_two_streams_know_nothing_of_each_other() -> None:
    assert redacted("first_password: ") == "first_password: "
    assert redacted("kx81Lmq0\n") == "kx81Lmq0\n"


def test_counts_by_kind_and_marks_that_explain() -> None:
    stream = Redactor(explain=True)
    assert stream.feed("password=kx81Lmq0\nredis://:kx92Lmq0@h\n") == ""
    stream.feed(ordinary(300_000) + "token: kx93Lmq0\n")
    assert stream.end().endswith("token: <redacted by named>\n")
    assert stream.counts == {"named": 2, "url": 1}


def test_a_rule_that_fails_takes_its_window_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Redactor, text: str) -> None:
        raise RecursionError(text)

    monkeypatch.setattr(redactor.Redactor, "_found", broken)
    stream = Redactor()
    assert (
        stream.feed("password=x y") + stream.end() == "\n<12 characters left out: redaction failed (RecursionError)>\n"
    )
    assert stream.counts == {"failed": 1}
    monkeypatch.undo()
    stream.feed("mode: fast\n")
    assert stream.end() == "mode: fast\n"


def test_time_that_ran_out_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redactor, "SECONDS", 0.001)
    stream = Redactor()
    assert "TimeoutError" in stream.feed("token: kx81Lmq0\n" * 20_000)
    stream.feed("token: kx81Lmq0\n")
    assert "TimeoutError" in stream.end()
