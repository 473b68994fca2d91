"""The policy file on disk: read at start and when it changes; a broken new one leaves the old one in force."""

from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.guard import DEFAULT_POLICY
from agent.policy import PolicyFile


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, object]]]:
    """What is logged, with its fields."""
    lines: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr("agent.log.sinks", [lambda _level, _task, event, fields: lines.append((event, fields))])
    return lines


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text('verbs = ["get"]')
    return path


def test_without_a_path_nothing_is_narrowed() -> None:
    assert PolicyFile(None).current() is DEFAULT_POLICY


def test_the_file_is_read_at_start_and_not_again(file: Path) -> None:
    policies = PolicyFile(file)
    first = policies.current()
    assert first.verbs == ("get",)
    assert policies.current() is first


def test_a_change_counts_from_the_next_command_on(file: Path, events: list[tuple[str, dict[str, object]]]) -> None:
    policies = PolicyFile(file)
    file.write_text('verbs = ["get", "logs"]')
    assert policies.current().verbs == ("get", "logs")
    assert [event for event, _ in events] == ["policy file read again"]


def test_a_configmap_turns_a_link(tmp_path: Path) -> None:
    for name, verb in (("one", "get"), ("two", "top"), ("three", "get")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.toml").write_text(f'verbs = ["{verb}"]')
    (tmp_path / "data").symlink_to("one")
    policies = PolicyFile(tmp_path / "data" / "policy.toml")
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    assert policies.current().verbs == ("top pod", "top node")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"verbs = [", "not valid TOML"),
        (b"\xff", "not UTF-8"),
        (None, "No such file"),
    ],
    ids=["toml", "utf8", "missing"],
)
def test_a_broken_new_file_keeps_the_old_policy_and_is_named_once(
    file: Path, content: bytes | None, words: str, events: list[tuple[str, dict[str, object]]]
) -> None:
    policies = PolicyFile(file)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    for _ in range(3):
        assert policies.current().verbs == ("get",)
    [(event, fields)] = events
    assert event == "policy file unusable, the old policy stays"
    assert words in str(fields["reason"])
    file.write_text('verbs = ["describe"]')
    assert policies.current().verbs == ("describe",)


@pytest.mark.parametrize(
    ("content", "words"), [(b"x = 1", "x is not a key"), (None, "No such file")], ids=["key", "missing"]
)
def test_a_file_that_is_unusable_at_start_is_a_mistake(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "policy.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as mistake:
        PolicyFile(path)
    assert words in str(mistake.value)
    assert str(path) in str(mistake.value)
    assert "KUBENTLY_POLICY_FILE" in str(mistake.value)


def test_a_new_file_that_cant_be_read_at_once_is_read_later(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrower policy must come into force, though the disk failed once."""
    policies = PolicyFile(file)
    old = policies.current()
    file.write_text('verbs = ["describe"]')
    with monkeypatch.context() as broken:

        def fail(*_: object) -> str:
            raise OSError(5, "Input/output error")

        broken.setattr(Path, "read_text", fail)
        assert policies.current() == old
    assert policies.current() != old
