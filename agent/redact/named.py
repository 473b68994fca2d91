"""From a telling name to its value: `password=x`, `"token": "x"`, `- name: API_KEY` and below it `value: x`."""

import re
from collections.abc import Iterable, Iterator

from agent.redact.names import NOTHING, PASSWORD, SECRET, WEAK, by_chance, harmless, plain, promise, taken, words
from agent.redact.values import NEAR, Ends, Taken, bare_word, block, line, logical_line, quoted, tag, word


def _re(pattern: str) -> re.Pattern[str]:
    r"""Blanks don't count; {q} is an optional quote at any depth, {n} line ends and \n, {i} a terminal's colours."""
    for name, part in {
        "{q}": r"""(?>(?:\\*["'])?)""",
        "{n}": r"(?>(?:\s|\\+n)*)",
        "{i}": r"(?>(?:\x1b\[[\d;]*m)*)",
    }.items():
        pattern = pattern.replace(name, part)
    return re.compile(pattern, re.VERBOSE | re.IGNORECASE | re.MULTILINE)


_NAME_LEFT = re.compile(r"[\w./-]{0,96}\Z", re.ASCII)
_NAME_RIGHT = re.compile(r"[\w.-]{0,96}", re.ASCII)
_URN = _re(r"[\w}\]*]:\Z")  # arn:aws:secretsmanager:…:secret:x
_TITLE = re.compile(r"(?:^|: )[ \t]*((?:[A-Z]\w*[ ]){1,3})\Z", re.MULTILINE)  # describe has `Admin API Key:`
_LEADS = _re(r"""(?:^ | (?P<inner> \\+n | (?<!\\)"))[ \t]*(?:-[ ]+)*(?:(?:export|set|ENV)[ ]+)?(?P<quote>{q})\Z""")
_QUOTE = _re(r"""\\*["']""")
_CALL = _re(r"""(?: string\(\d+\)[ ] | \w+\( | N )(?=\\*["']) | (?P<list>\[)(?=[^\s\]\[])""")
_SCHEME = _re(r"(?:bearer|basic|token|digest|apikey|negotiate|splunk|bot|genie-?key|key)[ ]+")
_PARAMETER = _re(r"""(?:response|signature|oauth_\w+)="?([^",\s]+)""")
_COOKIE = _re(r"""([\w.%-]+)=([^\s;,"'\\]{8,})""")
_ATTRIBUTES = words("path domain expires max-age samesite version")

_ASSIGN = _re(r"{i}(?P<close>\\*[\"'])?\]?{i}(?:[ ]\d+)?[ \t]*(?P<sep>=>|:=|=|:)(?P<after>[ \t]*){i}")
_BLOCK = _re(r"[|>][+-]?\d?[ \t]*\r?\n[ \t]*(?=\S)")
_RULER = _re(r"[ \t]*\r?\n-{4}\r?\n")
_BELOW = _re(r"[ \t]*\r?\n(?P<indent>[ \t]*)(?=\S)")
_NESTED = _re(r"""\{(?=[\s"'\\}]|\w+[ ]?[:=]|\Z) | \[\s*[\[{]""")
_TAG = _re(r"(?:>|\\+u003e)(?=[^\s<\\])")
_BESIDE = _re(r"""{i}{q}(?P<sep>[ \t]+(?:is|by)[ \t]+ | ,?[ \t]+ | ,(?=\\*["']))(?=\S)""")
_ALONE = _re(r"""[ \t.;]*(?:$|\r|\\+n|")""")
_ARGUMENT = _re(r"""{q},?[ \t]*(?P<line>\r?\n(?P<indent>[ \t]*))?(?:-[ ]|,[ ]*)?(?P<quote>\\*["'])?(?=[^\s-])""")

_IS_VALUE = _re(r"""(?:^|[\s{,\[(<"'\\-]|\\n)(?P<key>(?:name|key|variable|header|param){q}[ ]*+[:=]\s*+{q})\Z""")
_VALUE_AFTER = _re(
    r"""{q}[\s,;]*+{n} (?>(?:{q}(?!(?:value|default)\b)\w++{q}[ ]*+[:=][ ]*+(?=[^\s,{}])[^\n,{}]{1,80}+[\s,]++){0,2})
    {q}(?:value|default|defaultvalue|val){q}[ ]*+[:=][ ]*+(?:\\[ ]*\n[ ]*)?"""
)
_VALUE_KEY = _re(r"(?:value|default){q}[ ]*+[:=][ ]*+")
_BETWEEN = _re(r"{q},?(?:{n}\w++:[ ][^\n{}]{1,200}+){0,2}{n}{q}\Z")


def find(text: str, at: int, level: int | None = None) -> Iterable[Taken]:
    """The value that belongs to the name around `at`. `level` is what the name promises, if that is known."""
    begin, end = name_around(text, at)
    if level is None:
        level = _promise(text, begin, end)
    left = text[max(0, begin - 48) : begin]
    if level == NOTHING:
        return ()
    if left.rstrip("\"' \\")[-1:] in {":", "="} and (named := _IS_VALUE.search(left)):
        return _pair(text, begin, end, level, begin - len(named["key"]))
    if left.endswith(("<", "\\u003c")) and (opened := _TAG.match(text, end)):
        return _within(text, opened.end(), level, tag)
    if assign := _ASSIGN.match(text, end):
        return _assigned(text, begin, end, assign, level)
    return (_argument if text[begin] == "-" else _beside)(text, begin, end, level)


def _promise(text: str, begin: int, end: int) -> int:
    """What the name promises, given what stands before it."""
    if text[begin - 1 : end].lower() in {"?key", "&key"}:
        return WEAK
    level = promise(text[begin:end])
    if text[begin - 1 : begin] == " " and (title := _TITLE.search(text, max(0, begin - 64), begin)):
        level = max(level, promise(title[1] + text[begin:end]))
    return NOTHING if _URN.search(text, max(0, begin - 2), begin) else level


def name_around(text: str, at: int) -> tuple[int, int]:
    r"""Where the name begins and ends. The n of `\npassword` isn't part of it, nor is `\u003c`."""
    left, right = _NAME_LEFT.search(text, max(0, at - 96), at), _NAME_RIGHT.match(text, at)
    begin, end = left.start() if left else at, right.end() if right else at
    if text[begin - 1 : begin] == "\\" and begin < at:
        begin += 5 if text[begin] == "u" else 1
    return begin, at + len(text[at:end].rstrip(".-"))


def _before(text: str, at: int) -> int:
    """Where the line of `at` begins, or what of it is near."""
    return max(text.rfind("\n", 0, at) + 1, at - 200)


def _indent(text: str, at: int, dash: str = "-") -> int:
    """How deep the line of `at` is; a list's dash counts as a blank."""
    start = _before(text, at)
    return at - start - len(text[start:at].lstrip(" " + dash))


def _within(text: str, at: int, level: int, ends: Ends, *, prose: bool = False) -> Iterator[Taken]:
    end = ends(text, at)
    value = text[at:end].rstrip()
    told = value if "\n" in value else value.partition(" #")[0].rstrip()  # without a comment
    if taken(told, level, prose=prose) or (end == len(text) and end - at > NEAR):
        yield Taken(at, at + len(value) if end < len(text) else end, ends)


def _value(
    text: str, at: int, level: int, indent: int, name: str, *, rest: Ends = word, prose: bool = False
) -> Iterator[Taken]:
    """A value that begins here. `rest`: where one without quotes ends."""
    if _NESTED.match(text, at):
        return
    if below := _BLOCK.match(text, at):
        yield from _within(text, below.end(), level, block(indent))
        return
    header = name.endswith(("auth", "authorization"))
    if (call := _CALL.match(text, at)) and (header or rest is word or call["list"] is None):
        at, rest = call.end(), word
    if (quote := _QUOTE.match(text, at)) and (
        rest not in {line, bare_word} or _closes_again(text, at, quote[0], indent)
    ):
        at, rest, prose = quote.end(), quoted(quote[0]), False
    if header:
        if scheme := _SCHEME.match(text, at):
            at, level, prose = scheme.end(), PASSWORD, True
        if parameters := list(_PARAMETER.finditer(text, at, rest(text, at))):
            yield from (Taken(*match.span(1), word) for match in parameters)
            return
    yield from _within(text, at, level, rest, prose=prose)


def _closes_again(text: str, at: int, quote: str, indent: int) -> bool:
    """Whether this quote is one, and not the first character of what describe prints as it is."""
    end = line(text, at)
    below = _BELOW.match(text, end)
    folded = below is not None and len(below["indent"]) > indent
    return folded or quote in text[at + len(quote) : end]


def _pair(text: str, begin: int, end: int, level: int, key: int) -> Iterator[Taken]:
    """The value of an object whose name is the credential's. `key`: where the key of that name begins."""
    name, indent = text[begin:end].lower(), _indent(text, begin)
    if after := _VALUE_AFTER.match(text, end):
        yield from _value(text, after.end(), level, indent, name, rest=_rest(after[0]))
        return
    low = max(0, key - NEAR)
    at = max(text.rfind("value", low, key), text.rfind("default", low, key))
    if at >= 0 and (before := _VALUE_KEY.match(text, at)):
        for found in _value(text, before.end(), level, indent, name, rest=_rest(before[0])):
            if found.end <= key and _BETWEEN.match(text[found.end : key]):
                yield found


def _rest(key: str) -> Ends:
    """Where a value without quotes ends: behind a key in quotes, as in JSON, with the word."""
    return word if key.rstrip(" :=")[-1:] in {'"', "'"} else line


def _assigned(text: str, begin: int, end: int, assign: re.Match[str], level: int) -> Iterator[Taken]:
    """What stands behind `:` or `=`, on this line or below it."""
    at, name = assign.end(), text[begin:end].lower()
    if _closes(text, begin, at) and not assign["close"]:
        return
    if name in {"cookie", "set-cookie"} and assign["sep"] == ":":
        quote = _QUOTE.match(text, at)
        for cookie in _COOKIE.finditer(text, at, logical_line(text, quote.end() if quote else at)):
            if cookie[1].lower() not in _ATTRIBUTES and not harmless(cookie[2]):
                yield Taken(*cookie.span(2), word)
    elif ruler := _RULER.match(text, at):  # describe, of a ConfigMap
        yield from _within(text, ruler.end(), level, line)
    elif below := _BELOW.match(text, at):
        yield from _below(text, below, level, _indent(text, begin), name)
    else:
        leads = _LEADS.search(text, _before(text, begin), begin)
        whole_line = (
            leads and not assign["close"] and assign["sep"] != "=>" and (assign["after"] or assign["sep"] == ":")
        )
        rest: Ends = word
        if leads and whole_line:
            rest = quoted(leads["quote"]) if leads["quote"] else logical_line if leads["inner"] else line
        elif leads and not (assign["close"] or leads["quote"] or leads["inner"]) and assign["sep"] == "=":
            rest = bare_word
        value = text[at : rest(text, at)].strip()
        prose = " " in value and not _passphrase(value, name)
        yield from _value(
            text, at, level, _indent(text, begin), name, rest=word if prose else rest, prose=prose or not leads
        )


def _closes(text: str, begin: int, at: int) -> bool:
    """Whether the quote at `at` is the one that was opened before the name: `"token="`."""
    quote = _QUOTE.match(text, at)
    return quote is not None and text[max(0, begin - len(quote[0])) : begin] == quote[0]


def _passphrase(value: str, name: str) -> bool:
    """Whether several words are one value, and not prose."""
    several = (
        any(c.isdigit() or c in "!@#$^&*+~|" for c in value) and value.count(" ") < 8 and not {"=", "%"} & set(value)
    )
    return name.endswith("authorization") or several


def _below(text: str, below: re.Match[str], level: int, indent: int, name: str) -> Iterator[Taken]:
    """A describe puts a long value below its name; PHP does so with any."""
    at = below.end()
    if _CALL.match(text, at):
        yield from _value(text, at, level, indent, name)
    elif len(below["indent"]) > indent:
        value = text[at : line(text, at)].strip()
        if " " not in value and not value.endswith((":", ",", "{", "[")):
            yield from _within(text, at, level if value.isalnum() else min(level, SECRET), line)


def _argument(text: str, begin: int, end: int, level: int) -> Iterator[Taken]:
    """The argument after a flag: the next word, or the next item of the list."""
    argument = _ARGUMENT.match(text, end)
    if not argument:
        return
    folded = argument["line"] and len(argument["indent"]) > _indent(text, begin, "")
    leads = _LEADS.search(text, _before(text, begin), begin)
    if argument["line"] and not (folded or leads):
        return
    ends = quoted(argument["quote"]) if argument["quote"] else word
    for found in _within(text, argument.end(), level, ends, prose=True):
        if text[found.end - 1] != ":":  # describe's next key
            yield found


def _beside(text: str, begin: int, end: int, level: int) -> Iterator[Taken]:
    """`requirepass x`, `password is x`, `PASSWORD 'x'`, `define('DB_PASSWORD', 'x')`, name and value in two columns."""
    beside, name = _BESIDE.match(text, end), text[begin:end].lower()
    called = text[max(0, begin - 4) : begin].rstrip(" \"'\\")[-1:] == "("
    if (
        not beside
        or ("," in beside["sep"] and not called)
        or ("," not in beside["sep"] and _closes(text, begin, beside.end()))
    ):
        return
    at, quote = beside.end(), _QUOTE.match(text, beside.end())
    if name.endswith("authorization") or (quote and (level == PASSWORD or "," in beside["sep"])):
        yield from _value(text, at, level, 0, name, prose=True)
        return
    leads = _LEADS.search(text, _before(text, begin), begin)
    directive = leads and name in {"requirepass", "masterauth"}
    for found in _within(text, quote.end() if quote else at, level, word, prose=not directive):
        value = text[found.start : found.end]
        strong = not plain(value) and any(c.isdigit() for c in value) and not {":", "/"} & set(value)
        alone = leads and level > WEAK and _ALONE.match(text, found.end)
        if (
            level == WEAK
            or directive
            or by_chance(value)
            or (strong and (alone or (level == PASSWORD and len(value) > 7)))
        ):
            yield found
