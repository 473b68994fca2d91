"""`kubently-agent redact`, and what the policy file says of redaction, as people and programs meet them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from agent.errors import PolicyError
from agent.guard import explain, parse_policy
from agent.policy import PolicyFile
from agent.redact import Redaction
from tests.kit.agent import AGENT

TEXT = "mode: fast\n  password: kx81Lmq0\nredis://:kx93Lmqq@h 終わり\xff"


def redact(*options: str, given: bytes = TEXT.encode(), **environ: str) -> subprocess.CompletedProcess[bytes]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("KUBENTLY_")}
    return subprocess.run(
        [*AGENT, "redact", *options],
        input=given,
        env={**known, **environ},
        capture_output=True,
        check=False,
    )


def test_text_to_text() -> None:
    done = redact(given=TEXT.encode() + b"\xff")
    assert done.stdout.decode() == "mode: fast\n  password: <redacted>\nredis://:<redacted>@h 終わり\xff\ufffd"
    assert (done.returncode, done.stderr) == (0, b"")


def test_explained_by_rule_in_its_place() -> None:
    done = redact("--explain")
    assert done.stdout.decode().startswith(
        "mode: fast\n  password: <redacted by named>\nredis://:<redacted by url>@h 終わり"
    )


def test_one_object_a_line() -> None:
    lines = [{"text": TEXT}, {"text": "", "more": 1}, {"text": "token: kx81Lmq0"}]
    done = redact("--json", given="".join(json.dumps(line) + "\n" for line in lines).encode())
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert texts[1:] == ["", "token: <redacted>"]
    assert "kx" not in texts[0]
    done = redact("--json", "--explain", given=json.dumps(lines[2]).encode())
    assert json.loads(done.stdout) == {"text": "token: <redacted by named>"}


@pytest.mark.parametrize("line", [b"text", b"{}", b"[]", b'{"text": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_object_with_a_text(line: bytes) -> None:
    done = redact("--json", given=b'{"text": "a"}\n' + line)
    assert done.returncode == 1
    assert done.stderr.startswith(
        b"kubently-agent: Line 2 of standard input is not a JSON object with a text. Give one"
    )
    assert done.stdout == b'{"text": "a"}\n'


def test_an_input_that_cant_be_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as unreadable:
        done = subprocess.run([*AGENT, "redact"], stdin=unreadable, capture_output=True, check=False)
    assert done.stderr.startswith(b"kubently-agent: Standard input can't be read: Bad file descriptor. ")


def test_the_policy_file_says_what_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('redact_off = ["url"]\nredact_keys = ["mode"]')
    expected = "mode: <redacted>\n  password: <redacted>\nredis://:kx93Lmqq@h"
    assert redact("--policy", str(file)).stdout.decode().startswith(expected)
    assert redact(KUBENTLY_POLICY_FILE=str(file)).stdout.decode().startswith(expected)
    file.write_text("redact_keys = [1]")
    done = redact("--policy", str(file))
    assert done.returncode == 2
    assert b"redact_keys is a list of at most 64 strings" in done.stderr


def test_the_policy_holds_it() -> None:
    assert parse_policy('types = ["pods"]').redaction == Redaction()
    assert not parse_policy("redact = false").redaction.on
    with pytest.raises(PolicyError, match="there is no rule 'x'"):
        parse_policy('redact_off = ["x"]')


def test_explain_says_what_is_taken_and_what_is_off() -> None:
    said = explain(parse_policy('redact_off = ["url"]\nredact_keys = ["customer-no"]'))
    assert "switched off by the policy file: url" in said
    assert "the value of customer-no" in said
    said = explain(parse_policy("redact = false"))
    assert "redaction is off: credentials that kubectl prints are kept and sent" in said
    assert "private-key" not in said


def test_the_log_says_that_it_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr("agent.log.sinks", [lambda _level, _task, event, _fields: events.append(event)])
    file = tmp_path / "policy.toml"
    file.write_text("redact = true")
    policies = PolicyFile(file)
    assert events == []
    file.write_text("redact = false")
    assert not policies.current().redaction.on
    assert [event for event in events if "redaction is off" in event]
