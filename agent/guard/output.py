"""What `-o` may be: a word, or a format written out whose cost is bounded.

A union in jsonpath (`['a','a']`) multiplies what it finds: three of 200 in a row took 8 GB for two pods. `..` finds
everything again once for every level, and again in another `..`: ten in a row never ended, 24 ranges took 1.2 GB, as
kubectl prints nothing before it has found everything. And columns: kubectl holds the whole table until its widths are
known, 7 MB a pod with 1,000 columns of everything.
"""

import re
from collections.abc import Sequence
from math import prod

from agent.guard.template import template_complaint
from agent.guard.values import ValueRule

MAX_UNION = 64  # times that a jsonpath may find the same: the product of the lengths of its unions
MAX_DESCENTS = 3  # of `..` in one expression (ranges make one of all); and times that everything may be printed
MAX_SEARCHES = 16  # of `..` in all
MAX_COLUMNS = 64  # nobody reads as many, but an export to a file may have some dozens

_UNION = re.compile(r"\[([^\]]*)")  # as kubectl reads one: to the next "]", whatever is quoted
_TEXT = re.compile(r"""(?<=[{ ])(?:"(?:[^"'\\{}\[\]]|\\[ntr])*"|'[^"'\\{}\[\]]*')(?=[} ])""")  # no doubt
_UNSURE = re.compile(r"[\"']|range")  # where one expression ends and the next begins
_EVERYTHING = r"\s*[$@]?(?:\.|(?:\.?items)?(?:\.?\*)?(?:\[[*:]*\])?)\s*"
_BRACED = re.compile(rf"\{{{_EVERYTHING}\}}")
_COLUMN = re.compile(rf"\{{?{_EVERYTHING}\}}?")
_UNNAMED = re.compile(r"""\.\.(?![A-Za-z_]|\[["'])""")


def jsonpath_complaint(path: str) -> str | None:
    """What is wrong with a jsonpath, or None."""
    bare = _TEXT.sub("x", path)
    expressions = [bare] if _UNSURE.search(bare) else bare.split("}")
    return _multiplies(path) or _too_much(expressions, len(_BRACED.findall(bare)))


def columns_complaint(columns: str) -> str | None:
    """What is wrong with custom-columns, or None."""
    paths = [column.partition(":")[2] for column in columns.split(",")]
    if len(paths) > MAX_COLUMNS:
        return f"it has more than {MAX_COLUMNS} columns; name fewer"
    return _multiplies(columns) or _too_much(paths, len(list(filter(_COLUMN.fullmatch, paths))))


def _multiplies(path: str) -> str | None:
    if prod(union.count(",") + 1 for union in _UNION.findall(path)) > MAX_UNION:
        return f"its lists in [ ] multiply to more than {MAX_UNION}; name fewer fields"
    return None


def _too_much(expressions: Sequence[str], whole: int) -> str | None:
    descents = [expression.count("..") for expression in expressions]
    whole += sum(len(_UNNAMED.findall(expression)) for expression in expressions)
    if max(whole, *descents) > MAX_DESCENTS or sum(descents) > MAX_SEARCHES:
        return f"it finds everything more than {MAX_DESCENTS} times (by .. or whole objects); name the fields you need"
    return None


_INLINE = {
    "jsonpath": jsonpath_complaint,
    "jsonpath-as-json": jsonpath_complaint,
    "custom-columns": columns_complaint,
    "go-template": template_complaint,
    "template": template_complaint,
}
_WORDS = ("json", "yaml", "kyaml", "wide", "name")
_FROM_FILE = ("jsonpath-file", "custom-columns-file", "go-template-file", "templatefile")


_SAYS = f"{', '.join(_WORDS)}, or inline {'=…, '.join(_INLINE)}=…"


def _output_complaint(value: str) -> str | None:
    form, _, text = value.partition("=")
    if form in _FROM_FILE:
        return f"{form} prints a local file; write the format inline, as in jsonpath=… or custom-columns=…"
    if value in _WORDS:
        return None
    return _INLINE[form](text) if form in _INLINE and text else f"expected {_SAYS}"


OUTPUTS = ValueRule(_SAYS, _output_complaint)
"""A word, or a format written out on the command line. It can only show what was fetched anyway."""
