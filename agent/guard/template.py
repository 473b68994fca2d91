"""Formats that are programs: Go templates and jsonpath. Which of them stay within bounded memory.

A Go template can call itself and can double a text 26 times (two lines printed 1.34 GB). So only words that can do
neither are allowed inside `{{ }}`; fields (`.print`), variables (`$print`) and quoted text may be called anything.
The lexer is that of Go's text/template/parse: what it wouldn't take is refused.

What takes long but no memory (a `range` in a `range`, or over a large number) is left to the command's time limit.

A union in jsonpath (`['a','a']`) multiplies what it finds: three of 200 in a row took 8 GB for two pods. So does a
`{range ..}` in another: 24 of them took 1.2 GB, as kubectl prints nothing before it has found everything. And columns:
it holds the whole table until its widths are known, 7 MB a pod with 1,000 columns of everything.
"""

import re
from math import prod

_WORDS = "range if else end with and or not eq ne lt le gt ge index slice len exists break continue nil true false"

ALLOWED_WORDS = frozenset(_WORDS.split())
"""All that text/template and kubectl's printer know but define, template, block, print, printf, println, js, html,
urlquery, call and base64decode."""

MAX_UNION = 64
"""How many times a jsonpath may find the same thing: the product of the lengths of its unions."""

MAX_DESCENTS = 3
"""How many `..` may stand beside a range. Nested, each finds again what the one before found, once for every level."""

MAX_COLUMNS = 64
"""Of custom-columns. Nobody reads as many, but an export to a file may have some dozens."""

_UNION = re.compile(r"\[([^\]]*)")  # as kubectl reads one: to the next "]", whatever is quoted
_COMMENT = re.compile(r"/\*(?:(?!\*/).)*\*/(?: -)?\}\}")  # it ends at the first "*/", and so must the action
_TOKEN = re.compile(
    r"""
    (?P<end> \ -\}\} | \}\} )
  | (?P<quoted> "(?:[^"\\]|\\.)*" | `[^`]*` | '(?:[^'\\]|\\.)*' )
  | (?P<name> [.$][A-Za-z0-9_]* )
  | (?P<word> [A-Za-z_][A-Za-z0-9_]* )
  | (?P<other> [0-9]+ | [ |(),=:+-] )
    """,
    re.VERBOSE,
)


def template_complaint(template: str) -> str | None:
    """What is wrong with a template, or None."""
    at = template.find("{{")
    while at >= 0:
        at += 2
        if template.startswith("- ", at):
            at += 2
        if template.startswith("/*", at):
            comment = _COMMENT.match(template, at)
            if not comment:
                return "a comment in the template doesn't end"
            at = template.find("{{", comment.end())
            continue
        found = _action(template, at)
        if isinstance(found, str):
            return found
        at = template.find("{{", found)
    return None


def _action(template: str, at: int) -> int | str:
    """Where the action ends that begins at `at`, or what is wrong with it."""
    while token := _TOKEN.match(template, at):
        at = token.end()
        if token.lastgroup == "end":
            return at
        if token.lastgroup == "word" and token.group() not in ALLOWED_WORDS:
            known = f"fields, variables, quoted text and {_WORDS}"
            return f'"{token.group()}" isn\'t allowed inside {{{{ }}}}, only {known}'
    if at == len(template):
        return "a {{ in the template isn't closed"
    return f'"{template[at]}" isn\'t allowed inside {{{{ }}}} of a template'


def jsonpath_complaint(path: str) -> str | None:
    """What is wrong with a jsonpath, or None."""
    if prod(union.count(",") + 1 for union in _UNION.findall(path)) > MAX_UNION:
        return f"its lists in [ ] multiply to more than {MAX_UNION}; name fewer fields"
    if "range" in path and path.count("..") > MAX_DESCENTS:
        return f"it has more than {MAX_DESCENTS} .. beside a range, and they multiply; name the fields in between"
    return None


def columns_complaint(columns: str) -> str | None:
    """What is wrong with custom-columns, or None."""
    if columns.count(",") >= MAX_COLUMNS:
        return f"it has more than {MAX_COLUMNS} columns; name fewer"
    return jsonpath_complaint(columns)
