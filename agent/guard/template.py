"""Go templates are programs. Which of them stay within bounded memory, and end.

A template can call itself and can double a text 26 times (two lines printed 1.34 GB), so only words that can do
neither are allowed inside `{{ }}`; fields (`.print`), variables (`$print`) and quoted text may be called anything. It
can count (`{{range 4000000000}}` printed 4.3 GB), so a number is only something to compare with or to index by. And it
can go over the same list within itself, again and again, so that is bounded too. The lexer is that of Go's
text/template/parse: what it wouldn't take is refused.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

_WORDS = "range if else end with and or not eq ne lt le gt ge index slice len exists break continue nil true false"

ALLOWED_WORDS = frozenset(_WORDS.split())
"""All that text/template and kubectl's printer know but define, template, block, print, js, html, urlquery, call and
base64decode. printf and println may only begin an action: then they print, and nothing can be made of it."""

MAX_AGAIN = 1  # of ranges, one inside the other, that begin from a variable rather than from the element at hand
MAX_PRINTED = 16  # things in one printf or println, which puts them together in memory first
MAX_WIDTH = 999  # of a value in printf
MAX_NUMBER = 9  # that a template may have as a value; larger ones may be compared with, or be an index

_COMPARES = frozenset({"index", "slice", "eq", "ne", "lt", "le", "gt", "ge", "printf", "println"})
_COMMENT = re.compile(r"/\*(?:(?!\*/).)*\*/(?: -)?\}\}")  # it ends at the first "*/", and so must the action
_TOKEN = re.compile(
    r"""
    (?P<end> \ -\}\} | \}\} )
  | (?P<quoted> "(?:[^"\\]|\\.)*" | `[^`]*` )
  | (?P<number> '(?:[^'\\]|\\.)*' | [0-9]+ )
  | (?P<name> [.$][A-Za-z0-9_]* )
  | (?P<word> [A-Za-z_][A-Za-z0-9_]* )
  | (?P<other> [ |(),=:+-] )
    """,
    re.VERBOSE,
)
_VERB = re.compile(r"%(?:%|([^A-Za-z%]*))")
_FORMAT = re.compile(r"""`[^`]*`|"(?:[^\\]|\\[ntr\\"'])*\"""")

Token = tuple[str, str]  # what it is, and its text
_IS = ("other", "=")


class _Block(NamedTuple):
    """An open range, with or if."""

    again: bool  # a range that doesn't go down
    rebased: bool  # inside it, the dot is what some variable was
    own: Collection[str] | None  # the variables of a range


class _Complaint(Exception):  # noqa: N818  # it is never seen outside
    """What is wrong with a template."""


def template_complaint(template: str) -> str | None:
    """What is wrong with a template, or None."""
    try:
        actions = list(_actions(template))
        for action in actions:
            _check_words(action)
            _check_numbers(action)
        _check_blocks(actions)
    except _Complaint as complaint:
        return str(complaint)
    return None


def _actions(template: str) -> Iterator[list[Token]]:
    """The tokens of each action that isn't empty, without blanks."""
    at = 0
    while (at := template.find("{{", at)) >= 0:
        at += 4 if template.startswith("- ", at + 2) else 2
        if template.startswith("/*", at):
            comment = _COMMENT.match(template, at)
            if not comment:
                raise _Complaint("a comment in the template doesn't end")
            at = comment.end()
            continue
        action: list[Token] = []
        while (token := _TOKEN.match(template, at)) and token.lastgroup != "end":
            at = token.end()
            if token.group() != " ":
                action.append((token.lastgroup or "", token.group()))
        if not token and at == len(template):
            raise _Complaint("a {{ in the template isn't closed")
        if not token:
            raise _Complaint(f'"{template[at]}" isn\'t allowed inside {{{{ }}}} of a template')
        at = token.end()
        if action:
            yield action


def _check_words(action: list[Token]) -> None:
    for position, (kind, text) in enumerate(action):
        if kind != "word" or text in ALLOWED_WORDS:
            continue
        if text not in ("printf", "println"):
            known = f"fields, variables, quoted text, printf or println as the first word, and {_WORDS}"
            raise _Complaint(f'"{text}" isn\'t allowed inside {{{{ }}}}, only {known}')
        if position > 0:
            raise _Complaint(f"{text} may only be the first word inside {{{{ }}}}")
        _check_printing(action)


def _check_printing(action: list[Token]) -> None:
    if len(action) > MAX_PRINTED + 1:
        raise _Complaint(f"{action[0][1]} may print at most {MAX_PRINTED} things; use several")
    if action[0][1] == "println":
        return
    kind, text = action[1] if len(action) > 1 else ("", "")
    if kind != "quoted" or not _FORMAT.fullmatch(text):
        raise _Complaint('printf needs its format in quotes, as in {{printf "%s\\n" .kind}}')
    verbs = _VERB.findall(text)
    widths = [int(digits) for verb in verbs for digits in re.findall(r"\d+", verb)]
    if len(verbs) > MAX_PRINTED or any("*" in verb for verb in verbs) or max(widths, default=0) > MAX_WIDTH:
        raise _Complaint(f"printf may have widths up to {MAX_WIDTH}, without *, and {MAX_PRINTED} values")


def _check_numbers(action: list[Token]) -> None:
    """A number mustn't become what a range goes over."""
    heads = [""]
    for kind, text in action:
        if text == "(":
            heads.append("")
        elif text == ")":
            heads = heads[:-1] or [""]
        elif text in ("|", "="):
            heads[-1] = ""
        elif kind == "word" and not heads[-1]:
            heads[-1] = "" if text in ("if", "else", "with", "range") else text
        elif kind == "number" and heads[-1] not in _COMPARES and (action[0][1] == "range" or not _is_small(text)):
            raise _Complaint(f"the number {text} may only be compared with, or be an index")
        if text == "len" and action[0][1] in ("range", "with"):
            raise _Complaint(f"{action[0][1]} can't take a length; give it the list")


def _is_small(number: str) -> bool:
    return number.isdigit() and len(number) < 5 and int(number) <= MAX_NUMBER


def _check_blocks(actions: Sequence[list[Token]]) -> None:
    """A range goes down if it begins from the element at hand: from the dot, or from its range's own variable."""
    headers = [(action[0][1], action[: action.index(_IS)]) for action in actions if _IS in action]
    taken = {text for word, tokens in headers for _, text in tokens if word != "range" and text[0] == "$"}
    blocks: list[_Block] = []
    for action in actions:
        word, *rest = [text for kind, text in action if kind == "word"] or [""]
        if action[0][0] != "word" or word not in ("range", "with", "if", "else", "end"):
            continue
        if word in ("end", "else"):
            del blocks[-1:]
        if word == "else":
            word = "with" if rest[:1] == ["with"] else "if"
        if word != "end":
            blocks.append(_block(word, action, blocks, taken))
        if sum(block.again for block in blocks) > MAX_AGAIN:
            why = "ranges inside each other begin again from a variable, and they multiply"
            raise _Complaint(f"{why}; go down by fields")


def _block(word: str, action: list[Token], blocks: Sequence[_Block], taken: Collection[str]) -> _Block:
    own: Collection[str] = next((block.own for block in reversed(blocks) if block.own is not None), ())
    declared, value = (action[: action.index(_IS)], action[action.index(_IS) :]) if _IS in action else ([], action)
    follows = [text for _, text in value[1:]] + [""]
    again = any(
        text[0] == "$" and (text in taken or text not in own or not after.startswith("."))
        for (_, text), after in zip(value, follows, strict=True)
    )
    rebased = bool(blocks) and blocks[-1].rebased
    if word == "range":
        return _Block(again or rebased, False, {text for _, text in declared if text[0] == "$"})
    return _Block(False, rebased or (again and word == "with"), None)
