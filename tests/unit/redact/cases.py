"""The cases of cases.txt, and outputs with what is secret in them: corpus.jsonl.gz, by_hand.txt."""

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.redact import DEFAULT, MARK, Redaction, Redactor

HERE = Path(__file__).parent


def redacted(*pieces: str, redaction: Redaction = DEFAULT) -> str:
    """What a stream makes of a text that comes in these pieces."""
    stream = Redactor(redaction)
    return "".join([*map(stream.feed, pieces), stream.end()])


@dataclass(frozen=True)
class Case:
    """A text, and what it must become."""

    name: str
    text: str
    wanted: str


def _parts(file: str) -> list[tuple[str, str]]:
    """Names and texts, what is secret in ⟦ ⟧."""
    parts = re.split(r"^== ", (HERE / file).read_text(), flags=re.MULTILINE)[1:]
    named = (part.replace("·", "").replace("␛", "\x1b").partition("\n") for part in parts)
    return [(name, text) for name, _, text in named]


SECRET = re.compile("⟦(.*?)⟧", re.DOTALL)
CASES = [Case(name, SECRET.sub(r"\1", text), SECRET.sub(MARK, text)) for name, text in _parts("cases.txt")]


def by_hand() -> list[dict[str, Any]]:
    """Those of by_hand.txt, as `corpus` has them. Each line without a secret must stay."""
    return [
        {
            "class": "by-hand",
            "text": SECRET.sub(r"\1", text),
            "secrets": SECRET.findall(text),
            "keep": [line for line in SECRET.sub("⟦", text).splitlines() if "⟦" not in line],
        }
        for _, text in _parts("by_hand.txt")
    ]


def corpus() -> list[dict[str, Any]]:
    """Outputs: `text`, `secrets` that must go, `keep` that must stay, `class`, `why`. All values are invented.

    Packed, so that nobody's scanner takes them for real ones.
    """
    with gzip.open(HERE / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
