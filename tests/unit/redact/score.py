"""How much redaction takes of what it should, and of what it shouldn't. `make redact-score` prints the table.

recall          credentials of which nothing is left
kept            pieces that must stay and did
clean changed   outputs without a credential that aren't the same, byte for byte
JSON broken     outputs that were JSON and no longer are
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.unit.redact.cases import by_hand, corpus, redacted


def score(cases: list[dict[str, Any]], how: Callable[[str], str] = redacted) -> Counter[str]:
    """Counts of what was there and what became of it."""
    n: Counter[str] = Counter()
    for case in cases:
        text = how(case["text"])
        n["outputs"] += 1
        n["secrets"] += len(case["secrets"])
        n["gone"] += sum(not _left(secret, text) for secret in case["secrets"])
        if case["secrets"]:
            n["keeps"] += len(case["keep"])
            n["kept"] += sum(keep in text for keep in case["keep"])
        n["clean"] += not case["secrets"]
        n["changed"] += not case["secrets"] and text != case["text"]
        n["json"] += _json(case["text"])
        n["broken"] += _json(case["text"]) and not _json(text)
    return n


def _left(secret: str, text: str) -> bool:
    """Whether half of it, and at least 8 characters, is still there."""
    need = max(8, (len(secret) + 1) // 2)
    return secret in text or any(secret[at : at + need] in text for at in range(len(secret) - need + 1))


def _json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return text.lstrip()[:1] in {"{", "["}


def _row(name: str, n: Counter[str]) -> str:
    recall = f"{n['gone'] / n['secrets']:.1%} ({n['gone']}/{n['secrets']})" if n["secrets"] else "–"
    kept = f"{n['kept'] / n['keeps']:.1%}" if n["keeps"] else "–"
    return f"{name:22} {recall:>18} {kept:>8} {n['changed']:>6} of {n['clean']:<4} {n['broken']:>4} of {n['json']}"


def main() -> None:
    """The table, class by class."""
    cases = corpus()
    print(f"{'class':22} {'recall':>18} {'kept':>8} {'clean changed':>14} {'JSON broken':>12}")
    for name in sorted({case["class"] for case in cases}):
        print(_row(name, score([case for case in cases if case["class"] == name])))
    print(_row("all", score(cases)))
    print(_row("by hand", score(by_hand())))


if __name__ == "__main__":
    main()
