"""What `kubently-agent check` prints."""

import pytest

from agent.check import Finding, Mark
from agent.cli import check, main

FINDINGS = [
    Finding("Configuration", "settings", Mark.PASSED, "cluster a"),
    Finding("Central API", "name", Mark.WARNED, "odd", "Look at it."),
    Finding("Central API", "connection", Mark.FAILED, "none", "Do something about it soon, and look again."),
]


def test_lines_and_hints_under_their_area(capsys, monkeypatch):
    async def checked(_, tell):
        for finding in FINDINGS:
            tell(finding)
        return "a configuration"

    monkeypatch.setattr(check, "check_everything", checked)
    monkeypatch.setenv("COLUMNS", "62")
    assert main(["check"]) == 1
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 62
    assert printed.splitlines() == [
        "Configuration",
        "  √ settings          cluster a",
        "",
        "Central API",
        "  ! name              odd",
        "                      → Look at it.",
        "  × connection        none",
        "                      → Do something about it soon, and look",
        "                        again.",
        "",
        "1 passed, 1 failed, 1 to look at.",
        "What needs a check that failed wasn't looked at.",
    ]


def test_a_mistake_in_the_configuration_has_an_exit_code_of_its_own(capsys, monkeypatch, tmp_path):
    for name in ("KUBENTLY_API_URL", "CLUSTER_ID", "KUBENTLY_TOKEN", "KUBENTLY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBENTLY_SPOOL_PATH", str(tmp_path / "spool.db"))
    assert main(["check"]) == 2
    assert "  × settings          KUBENTLY_API_URL is not set.\n" in capsys.readouterr().out


def test_help_says_what_the_signs_mean(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["check", "--help"])
    assert caught.value.code == 0
    assert "√ as it should be" in capsys.readouterr().out
