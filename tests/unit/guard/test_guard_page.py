"""docs/guard.md says what is true: what it shows is compared with what the guard does."""

import re
import shlex
from pathlib import Path

import pytest

from agent.cli import main
from agent.guard import Refused, decide, parse_policy
from agent.guard.refused import NEVER
from agent.guard.resources import TABLE_ONLY, holds_credentials, is_table_only
from agent.guard.tables import VERBS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "guard.md").read_text()
SHOWN = re.findall(r"^\$ kubently-agent guard --policy policy.toml (-- .*)\n(.*)$", PAGE, re.MULTILINE)


def row(name: str) -> list[str]:
    """The cells of the policy's table in one row."""
    found = re.search(rf"^\| {name} \|(.*)\|(.*)\|$", PAGE, re.MULTILINE)
    assert found
    return list(found.groups())


@pytest.mark.parametrize(("line", "printed"), SHOWN)
def test_the_guard_says_what_the_page_shows(
    line: str, printed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(PAGE.partition("```toml\n")[2].partition("```")[0])
    main(["guard", "--policy", str(file), *shlex.split(line)])
    assert capsys.readouterr().out == f"{printed}\n"


def test_the_verbs_are_those_that_run() -> None:
    allowed, never = row("verbs")
    verbs = {name.replace("top pod", "top").replace("top node", "top") for name in VERBS}
    assert set(allowed.strip().split(", ")) == verbs
    for word in re.findall(r"[a-z]+(?=,|$)", never.partition(":")[2]):
        with pytest.raises(Refused):
            decide([word, "pods"])


def test_the_flags_that_never_run_are_refused() -> None:
    for flag in re.findall(r"`(--?[a-z-]+)`", row("flags")[1]):
        assert flag[2:] in NEVER or len(flag) == 2
        with pytest.raises(Refused):
            decide(["get", "pods", flag, "x"])


def test_the_types_are_judged_so() -> None:
    for kind in re.findall(r"`([a-z]+)`", row("types")[1]):
        pointer = kind in ("externalsecrets", "sealedsecrets")
        assert holds_credentials(kind) is not pointer, kind
    listed = re.findall(r"`([a-z-]+)`", row("as a table only")[0])
    assert {"machineconfigs", "managed", "bundles"} <= set(listed)
    assert all(map(is_table_only, listed))
    assert all(name in listed for name in TABLE_ONLY.values() if "." not in name and "generators" not in name)


def test_the_raw_paths_are_read() -> None:
    for path in re.findall(r"`(/[^`]+)`", row("raw paths")[0]):
        assert decide(["get", "--raw", path])


@pytest.mark.parametrize("file", sorted((ROOT / "kustomize").rglob("*.toml")), ids=lambda file: file.name)
def test_every_policy_file_of_the_repository_can_be_used(file: Path) -> None:
    policy = parse_policy(file.read_text())
    with pytest.raises(Refused):
        decide(["get", "configmaps"], policy)
