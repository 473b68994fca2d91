"""Go templates: which of them end, and in bounded memory.

A template of Go can call itself and can double a text 26 times (1.34 GB were printed by one in two lines). So only words
are allowed inside `{{ }}` that can do neither; fields (`.print`), variables (`$print`) and quoted text may be called
anything. The lexer is that of Go's text/template/parse: what it wouldn't take is refused.
"""

import re

ALLOWED_WORDS = frozenset(
    "range if else end with and or not eq ne lt le gt ge index slice len exists break continue nil true false".split()
)
"""Everything of text/template and kubectl's printer but define, template, block, print, printf, println, js, html, urlquery,
call and base64decode."""

_COMMENT = re.compile(r"/\*.*?\*/(?: -)?\}\}")
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


def complaint(template: str) -> str | None:
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
            return (
                f'the word "{token.group()}" isn\'t allowed inside {{{{ }}}} (only fields, variables, quoted text and '
                f"{' '.join(sorted(ALLOWED_WORDS))}); use jsonpath= for more"
            )
    if at == len(template):
        return "a {{ in the template isn't closed"
    return f'"{template[at]}" isn\'t allowed inside {{{{ }}}} of a template'
