"""`kubently-agent guard` for people and for programs."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.cli import main

JSON_LINE = {"args", "allowed", "argv", "reason"}


@pytest.fixture(autouse=True)
def no_policy_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBENTLY_POLICY_FILE", raising=False)


def answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *lines: bytes
) -> list[dict[str, object]]:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\n".join(lines) + b"\n")))
    assert main(["guard"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_allowed_line_is_shown_as_it_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", "--", "get", "pods", "-A", "-o", "jsonpath={.items[*].kind}"]) == 0
    line = "kubectl get --v=0 --all-namespaces=true '--output=jsonpath={.items[*].kind}' -- pods"
    assert capsys.readouterr().out == f"allowed: {line}\n"


def test_a_forgotten_double_dash_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["guard", "get", "pods", "-A"])
    assert ended.value.code == 2
    assert "unrecognized arguments: -A; kubectl's own arguments go after --" in capsys.readouterr().err


class Keyboard(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_a_person_is_told_what_to_type(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=Keyboard()))
    assert main(["guard"]) == 0
    assert '{"args": ["get", "pods"]}' in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO()))
    assert main(["guard"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_double_dash_of_kubectl_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", "--", "get", "pods", "--", "web-0"]) == 0
    assert capsys.readouterr().out == "allowed: kubectl get --v=0 -- pods web-0\n"


def test_a_refused_line_names_its_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", "--", "get", "pods", "-w"]) == 1
    assert capsys.readouterr().out.startswith("refused (value): --watch is not allowed: the agent answers once")


def test_the_effective_policy_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('verbs = ["logs"]')
    assert main(["guard", "--policy", str(file), "--explain"]) == 0
    out = capsys.readouterr().out
    assert "    verbs: logs\n" in out
    assert "kubectl get" not in out


def test_the_policy_of_the_environment_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('namespaces = ["prod"]')
    monkeypatch.setenv("KUBENTLY_POLICY_FILE", str(file))
    assert main(["guard", "--", "get", "pods", "-A"]) == 1
    assert "refused (policy)" in capsys.readouterr().out


def test_a_broken_policy_file_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('verbs = ["delete"]')
    assert main(["guard", "--policy", str(file), "--", "get", "pods"]) == 2
    assert "a policy file only narrows" in capsys.readouterr().err


def test_a_program_gets_a_line_for_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [b'{"args": ["get", "pods"]}', b'{"args": ["get", "secrets"], "id": 1}', b'{"args": ["-x"]}']
    found = answers(monkeypatch, capsys, *asked)
    line = ["get", "--v=0", "--", "pods"]
    assert [set(each) for each in found] == [JSON_LINE] * 3
    assert found[0] == {
        "args": ["get", "pods"],
        "allowed": True,
        "argv": line,
        "reason": None,
    }
    assert (found[1]["allowed"], found[1]["argv"]) == (False, None)
    assert "credentials" in str(found[1]["reason"])


@pytest.mark.parametrize(
    "line",
    [b"", b"get pods", b"[]", b"5", b"{}", b'{"args": null}', b'{"args": "get pods"}', b'{"args": [1]}', b"\xff\xfe",
     b'{"args"', b"[" * 100_000, b'{"args": ' + b"9" * 5000 + b"}", b'{"args": ["get", "\\ud800"]}'],
    ids=lambda line: repr(line)[:30],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_answered_too(
    line: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answers(monkeypatch, capsys, line, b'{"args": ["version"]}')
    assert [each["allowed"] for each in found] == [False, True]
    assert found[0]["reason"]
    assert found[0]["argv"] is None
