"""Every place for real output in the documents is filled, and has a scene that fills it."""

import inspect
import re

from sqlite_utils import Database

from agent.spool.schema import version_1
from tests.rehearsal import documents, scenes

SOURCE = inspect.getsource(scenes)


def test_every_place_has_a_scene():
    for name in documents.places():
        assert f'"{name}"' in SOURCE, name


def test_every_place_is_filled():
    for file in documents.DOCUMENTS:
        for match in re.finditer(
            r"<!-- real: ([a-z-]+) -->\n```\w*\n(.*?)^```$", file.read_text(), re.DOTALL | re.MULTILINE
        ):
            assert match[2].strip(), f"{match[1]} in {file.name}: run `make incidents`"


def test_each_question_to_the_spool_can_be_asked():
    db = Database(memory=True)
    version_1(db)
    questions = [each for file in documents.DOCUMENTS for each in re.findall(r'"(select [^"]*)"', file.read_text())]
    assert len(questions) == 3
    for question in questions:
        db.execute(question)
    db.close()


def test_a_place_takes_its_text(tmp_path, monkeypatch):
    file = tmp_path / "a.md"
    file.write_text("before\n<!-- real: a-b -->\n```console\nold\n```\nafter\n```\nuntouched\n```\n")
    monkeypatch.setattr(documents, "DOCUMENTS", (file,))
    documents.fill({"a-b": "$ new\n\\1 and ``` inside\n\n"})
    assert file.read_text() == (
        "before\n<!-- real: a-b -->\n```console\n$ new\n\\1 and ``` inside\n```\nafter\n```\nuntouched\n```\n"
    )
