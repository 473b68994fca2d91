"""What `-o` may be: a word, or a format written out whose cost in memory is bounded.

What goes on too long is ended by the time limit, what prints too much by the limit of output. But kubectl's memory is
the pod's, and these take more than it has:

- A jsonpath, as kubectl prints nothing before it has found everything. A union (`['a','a']`) multiplies what it finds:
  three of 200 in a row took 8 GB for two pods. `..` finds everything again once for every level, and again in another
  `..`: ten in a row never ended, 24 ranges took 1.2 GB.
- Columns, as kubectl holds the whole table until its widths are known: eight of everything took 566 MB for 500 pods.
- A Go template that calls itself, or makes text out of text: 26 doublings printed 1.34 GB in two lines. So no word
  that can do either is allowed inside `{{ }}`. Fields (`.print`), variables (`$print`) and quoted text may be called
  anything. The lexer is that of Go's text/template/parse: what it wouldn't take is refused.
"""

import re
from math import prod

from agent.guard.values import FlagType, ValueRule

MAX_UNION = 64  # times that a jsonpath may find the same: the product of the lengths of its unions
MAX_DESCENTS = 3  # of `..`
MAX_COLUMNS = 32  # nobody reads as many
MAX_WHOLE_COLUMNS = 3
MAX_RANGES = 4  # one inside the other: lists of Kubernetes' objects aren't deeper
MAX_DIGITS = 5
MAX_PRINTED = 16  # values in one printf or println, which puts them together in memory first

ALLOWED_WORDS = (
    "range if else end with and or not eq ne lt le gt ge index slice len exists break continue nil true false"
)
"""All that text/template and kubectl's printer know but define, template, block, print, js, html, urlquery, call and
base64decode. printf and println may only begin an action: then they print, and nothing can be made of it."""

_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|`[^`]*`|'(?:[^'\\]|\\.)*')"""
_ACTION = re.compile(rf"(?<!\{{)\{{\{{((?:{_QUOTED}|[\w.$ |(),=:+-])*)\}}\}}", re.ASCII)
_WORD = re.compile(rf"{_QUOTED}|[.$]\w*|(\w+)", re.ASCII)
_VALUE = re.compile(rf"{_QUOTED}|[.$][\w.]*", re.ASCII)
_FORMAT = r'"(?:[^"\\%]|\\[ntr"\\]|%(?:%|[-+# 0]*\d{0,3}(?:\.\d{0,3})?[A-Za-z]))*"'
_PRINT = re.compile(rf"(?:- )? *(?:println|printf +{_FORMAT})(?: |$)")


def jsonpath_complaint(path: str) -> str | None:
    """What is wrong with a jsonpath or with custom-columns, or None."""
    if prod(union.count(",") + 1 for union in re.findall(r"\[([^\]]*)", path)) > MAX_UNION:
        return f"its lists in [ ] multiply to more than {MAX_UNION}; name fewer fields"
    if path.count("..") > MAX_DESCENTS:
        return f"it has more than {MAX_DESCENTS} .., which finds everything; name the fields you need"
    return None


def _columns_complaint(columns: str) -> str | None:
    paths = [column.partition(":")[2] for column in columns.split(",")]
    if len(paths) > MAX_COLUMNS or sum(not re.search("[A-Za-z]", path) for path in paths) > MAX_WHOLE_COLUMNS:
        return f"it has more than {MAX_COLUMNS} columns, or {MAX_WHOLE_COLUMNS} of everything; name the fields you need"
    return jsonpath_complaint(columns)


def _template_complaint(template: str) -> str | None:
    if "{{" in _ACTION.sub("", template):
        return "inside {{ }} may only be fields, variables, text in quotes, numbers and words, without comments"
    blocks: list[str] = []
    for action in _ACTION.findall(template):
        words = [word for word in _WORD.findall(action) if word]
        if complaint := _action_complaint(action, words):
            return complaint
        if words[:1] == ["end"]:
            del blocks[-1:]
        elif words and words[0] in ("range", "with", "if"):
            blocks.append(words[0])
        if blocks.count("range") > MAX_RANGES:
            return f"it has more than {MAX_RANGES} ranges inside each other"
    return None


def _action_complaint(action: str, words: list[str]) -> str | None:
    prints = _PRINT.match(action) is not None
    if prints and len(_VALUE.findall(action)) > MAX_PRINTED:
        return f"{words[0]} may print at most {MAX_PRINTED} values; use several"
    for word in words[prints:]:
        if word in ("printf", "println"):
            return f'{word} may only be the first word inside {{{{ }}}}, with its format in quotes, as in printf "%-9s"'
        if word not in ALLOWED_WORDS.split() and not word.isdigit():
            return f'"{word}" isn\'t allowed inside {{{{ }}}}, only {ALLOWED_WORDS}'
        if word.isdigit() and len(word) > MAX_DIGITS:
            return f"the number {word} is larger than there is anything to count"
    return None


_INLINE = {
    "jsonpath": jsonpath_complaint,
    "jsonpath-as-json": jsonpath_complaint,
    "custom-columns": _columns_complaint,
    "go-template": _template_complaint,
    "template": _template_complaint,
}
_WORDS = ("json", "yaml", "kyaml", "wide", "name")
_SAYS = f"{', '.join(_WORDS)}, or inline {'=…, '.join(_INLINE)}=…"


def _output_complaint(value: str) -> str | None:
    form, _, text = value.partition("=")
    if form in _INLINE and text:
        return _INLINE[form](text)
    if form.endswith("file"):
        return f"{form} prints a local file; write the format inline, as in jsonpath=… or custom-columns=…"
    return None if value in _WORDS else f"expected {_SAYS}"


OUTPUT = ValueRule(FlagType.TEXT, _SAYS, _output_complaint)  # it can only show what was fetched anyway
