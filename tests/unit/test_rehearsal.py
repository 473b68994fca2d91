"""Every place for real output in the documents is filled, and has a scene that fills it."""

import inspect
import re

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


def test_a_place_takes_its_text(tmp_path, monkeypatch):
    file = tmp_path / "a.md"
    file.write_text("before\n<!-- real: a-b -->\n```console\nold\n```\nafter\n```\nuntouched\n```\n")
    monkeypatch.setattr(documents, "DOCUMENTS", (file,))
    documents.fill({"a-b": "$ new\n\\1 and ``` inside\n\n"})
    assert file.read_text() == (
        "before\n<!-- real: a-b -->\n```console\n$ new\n\\1 and ``` inside\n```\nafter\n```\nuntouched\n```\n"
    )
