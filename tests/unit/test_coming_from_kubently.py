"""docs/coming-from-kubently.md says what is true today."""

import re
from pathlib import Path

import pytest

from agent.guard import Refused, decide, parse_policy
from agent.link.commands import read_command
from agent.link.result import SHOWN_CHARS
from agent.link.stream import OWN_SHARE, StreamLink
from agent.model import Malformed

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "coming-from-kubently.md").read_text()


def row(feature: str) -> str:
    found = re.search(rf"^\| {re.escape(feature)}.* \|.*\| (.*) \|$", PAGE, re.MULTILINE)
    assert found, feature
    return found[1]


@pytest.mark.parametrize(
    ("feature", "tools"),
    [
        ("Prometheus, Loki", ("prometheus", "loki")),
        ("Helm", ("helm",)),
        ("Argo CD", ("argocd",)),
        ("cloud reads", ("cloud",)),
    ],
)
def test_what_isnt_here_is_answered_with_the_alternative_that_the_table_names(
    feature: str, tools: tuple[str, ...]
) -> None:
    assert row(feature).startswith("**no**")
    for tool in tools:
        answer = read_command({"id": "a", "tool": tool, "request": {}})
        assert isinstance(answer, Malformed)
        assert answer.reason.startswith(f"This agent runs kubectl and log_search, not the tool '{tool}'. ")
        for command in re.findall(r"`(kubectl [^`]*)`", row(feature)):
            assert command in answer.reason
            assert decide(command.replace("NAME", "web").split()[1:])


def test_the_answer_that_is_quoted() -> None:
    quoted = re.search(r"`(This agent runs[^`]*?) …`", PAGE)
    assert quoted
    answer = read_command({"id": "a", "tool": "helm"})
    assert isinstance(answer, Malformed)
    assert answer.reason.startswith(" ".join(quoted[1].split()))


def test_figures() -> None:
    assert f"{StreamLink.journal} wait;" in row("many commands")
    assert "minus a tenth" in row("a command's time limit")
    assert OWN_SHARE == 0.9
    assert f"up to {SHOWN_CHARS >> 10} KB of each stream" in row("a command that fails")


def test_the_policy_for_access_as_it_was() -> None:
    links = set(re.findall(r"\]\((\.\./[^)]*\.toml)\)", PAGE))
    assert len(links) == 1
    policy = parse_policy((DOCS / links.pop()).read_text())
    for args in (["get", "configmaps", "-n", "shop"], ["describe", "cm", "x", "-n", "shop"], ["get", "secrets"]):
        with pytest.raises(Refused):
            decide(args, policy)
    for args in (["get", "pods", "-n", "shop"], ["logs", "web-0", "-n", "shop"], ["top", "pods"], ["events"]):
        assert decide(args, policy)
