"""The cases of cases.txt, and outputs with what is secret in them (corpus.jsonl.gz)."""

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.redact import MARK

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A text, and what it must become."""

    name: str
    text: str
    wanted: str


def _cases() -> list[Case]:
    parts = re.split(r"^== ", (HERE / "cases.txt").read_text(), flags=re.MULTILINE)[1:]
    named = (part.replace("·", "").replace("␛", "\x1b").partition("\n") for part in parts)
    return [
        Case(name, re.sub("[⟦⟧]", "", body), re.sub("⟦.*?⟧", MARK, body, flags=re.DOTALL)) for name, _, body in named
    ]


CASES = _cases()


def corpus() -> list[dict[str, Any]]:
    """Outputs: `text`, `secrets` that must go, `keep` that must stay, `class`, `why`. All values are invented.

    Packed, so that nobody's scanner takes them for real ones.
    """
    with gzip.open(HERE / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
