"""The places in the documents that hold real output: a code block after `<!-- real: NAME -->`."""

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "incident.md")

_PLACE = re.compile(r"(<!-- real: ([a-z-]+) -->\n```\w*\n).*?(^```$)", re.DOTALL | re.MULTILINE)


def places() -> dict[str, Path]:
    """Each place's name, and the document that it is in."""
    return {match[2]: file for file in DOCUMENTS for match in _PLACE.finditer(file.read_text())}


def fill(texts: Mapping[str, str]) -> None:
    """Put each text in its place."""
    for file in DOCUMENTS:
        old = file.read_text()
        new = _PLACE.sub(lambda match: f"{match[1]}{texts[match[2]].rstrip()}\n{match[3]}", old)
        file.write_text(new)
