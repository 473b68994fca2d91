"""README and docs/api.md say what is true: what they show is compared with what the program does."""

import json
import re
import shlex
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest

from agent.cli import main
from agent.config import SETTINGS
from agent.link import poll, stream
from agent.link.commands import read_command
from agent.log_search.container import LINE_CHARS, MATCHES_PER_CONTAINER
from agent.log_search.report import MOST_CHARS, MOST_PODS, MOST_SHOWN
from agent.log_search.search import MOST_SECONDS
from agent.model import Command
from agent.settings import Setting
from demo.contract import poll_problems

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->"


def row(setting: Setting) -> str:
    default = "required" if setting.example else f"`{setting.default}`" if setting.default else ""
    return f"| `{setting.name}` | {default} | {setting.meaning} |"


def table() -> str:
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *map(row, SETTINGS.values())]) + "\n"


def test_the_table_of_settings_is_the_settings():
    shown = README.partition(BEGIN)[2].partition(END)[0]
    assert shown == table(), f"README's table should be:\n{table()}"


def test_the_guard_says_what_readme_shows(capsys: pytest.CaptureFixture[str]):
    shown = re.findall(r"^\$ kubently-agent guard (-- .*)\n(.*)$", README, re.MULTILINE)
    assert len(shown) == 2
    for arguments, printed in shown:
        main(["guard", *shlex.split(arguments)])
        assert capsys.readouterr().out == f"{printed}\n"


def test_each_thing_is_where_readme_says():
    section = README.partition("## How it is built")[2].partition("## Contributing")[0]
    found = re.findall(r"`([\w/]+)\.py`((?:,? `(?:[A-Z]\w+(?:\.\w+)?|[a-z_]+)`)*)", section)
    for file, names in found:
        module = import_module(f"agent.{file.replace('/', '.')}")
        for name in re.findall(r"[\w.]+", names):
            assert attrgetter(name)(module)
    assert {"journal", "run"} <= {file.rpartition("/")[2] for file, names in found if names}


@pytest.mark.parametrize("text", re.findall(r"```json\n(.*?)```", API, re.DOTALL))
def test_the_messages_in_docs_are_of_the_contract(text: str):
    message = json.loads(text)
    if "args" in message:
        assert isinstance(read_command(message), Command)
    elif "result" in message:
        assert poll_problems(message) == []


def test_the_limits_of_a_log_search_in_docs():
    limits = (MOST_PODS, MATCHES_PER_CONTAINER, MOST_SHOWN, LINE_CHARS, MOST_CHARS, MOST_SECONDS)
    sentence = " ".join(API.split()).partition("The limits are ")[2].partition(" s or")[0]
    assert [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d+", sentence)] == [*limits]


def test_the_statuses_in_docs_are_those_that_refuse_a_result():
    (statuses,) = re.findall(r"^\| ([\d ]+) \| keeps it as `rejected`", API, re.MULTILINE)
    assert set(map(int, statuses.split())) == poll.PollLink.refusing
    assert set(poll.PollLink.refusing ^ stream.StreamLink.refusing) == {403, 404, 405}, (
        "docs/api.md names the difference"
    )
