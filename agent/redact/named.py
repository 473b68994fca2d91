"""From a telling name to its value: `password=x`, `"token": "x"`, `- name: API_KEY` and below it `value: x`."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from string import ascii_letters, digits

from agent.redact import values
from agent.redact.values import NEAR, NOTHING, PASSWORD, SECRET, WEAK, Ends, Taken, line, quoted, word

# fmt: off
_PROMISES = [(level, re.compile(pattern)) for level, pattern in (
    (NOTHING, r"^(?:key)?$|\b(?:existing|ref|checksum|public|pub|provider|mount|reset|forgot|min|max|policy)\b"),
    (PASSWORD, r"pass ?(?:word|phrase)$|passwd$|passwort$|\b(?:passwords|pass ?code|pass|pwd|pw|kennwort)$"
               r"|\b(?:requirepass|masterauth|identified|bindpw|rootpw|dbpass|userpass)$"),
    # The name of an object, or what tells objects apart.
    (NOTHING, r"\b(?:pull|tls|image|existing|password|token|key|basic)\b.* secret$"),
    (NOTHING, r"\b(?:page|next|input|output|continuation|cursor|sync|cancel|stop|start|end|eos|bos|pad)\b.* token$"),
    (NOTHING, r"\b(?:cache|partition|sort|primary|foreign|idempotency|host|gpg|object|dedup|row|shard|lock|trace|known"
              r"|event|message|password|token|site|publishable|socket)\b.* key$"),
    (SECRET, r"(?:secret|token|apikey|(?:secret|private|access)key)$|\b(?:authkey|credentials?|cookie)$"
             r"|pass ?word(?: (?:hash|digest|sha|md|hex))+$|\b(?:api|secret|private|access|signing|encryption|master"
             r"|shared|account|license|auth|service|admin|session|app|root|client|webhook|jwt|deploy)\b.* key$"),
    (WEAK, r"\b(?:authorization|auth|key|signature|sig)$|\baccess key id$"),
)]
# fmt: on
"""What a name that ends so, its words in small letters, says of its value. The first that matches counts."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_AFTERTHOUGHT = re.compile(r"(?: (?:old|new|prod|dev|test|staging|base|plain|text|value|default|current|previous))+$")
"""Said after the word that counts: DB_PASSWORD_OLD, TOKEN_BASE64, SECRET_2."""


@lru_cache(maxsize=4096)
def promise(name: str) -> int:
    """What this name (of a variable, key, flag, header) says of its value."""
    if name[:1] == "/" or name in {"PWD", "OLDPWD"}:  # a path; the working folder of every shell
        return NOTHING
    said = _AFTERTHOUGHT.sub("", " ".join(_WORDS.findall(name)).lower())
    return next((level for level, ends in _PROMISES if ends.search(said)), NOTHING)


def _re(pattern: str) -> re.Pattern[str]:
    r"""Blanks don't count; {q} is an optional quote at any depth, {n} line ends and \n, {i} a terminal's
    colour, {others} up to two other keys of an object and their values.
    """
    parts = {
        "{others}": r"(?>(?:{q}(?!(?:value|default)\b)\w++{q}[ ]*+[:=][ ]*+[^\s,{}][^\n,{}]{0,80}+[\s,]++){0,2})",
        "{q}": r"""(?>(?:\\*["'])?)""",
        "{n}": r"(?>(?:\s|\\+n)*)",
        "{i}": r"(?:\x1b\[[\d;]*m)?",
    }
    for name, part in parts.items():
        pattern = pattern.replace(name, part)
    return re.compile(pattern, re.VERBOSE | re.IGNORECASE | re.MULTILINE)


# What stands before a name, and in it.
_IN_NAMES = f"{ascii_letters}{digits}_.-"
_URN = _re(r"[\w}\]*]:\Z")  # arn:aws:secretsmanager:…:secret:x
_TITLE = re.compile(r"(?:^|: )[ \t]*((?:[A-Z]\w*[ ]){1,3})\Z")  # describe has `Admin API Key:`
_LEADS = _re(r"(?P<inner>\\n)?[ \t]*(?:-[ ]+)*(?:export[ ]+)?(?P<quote>{q})\Z")
_IS_VALUE = _re(r"""(?:\A|[\s{,\[(<"'\\-]|\\n)(?P<key>(?:name|key){q}[ ]*+[:=>]\s*+{q})\Z""")

# What stands between a name and its value.
_ASSIGN = _re(r"(?P<close>\\*[\"'])?\]?{i}(?:[ ]\d+)?[ \t]*(?P<sep>[=-]>|:=|=|:)(?P<after>[ \t]*){i}")
_TAG_ENDS = _re(r"(?:>|\\u003e)(?=[^\s<\\])")
_BELOW = _re(r"[ \t]*\r?\n(?P<ruler>-{4}\r?\n)?(?P<indent>[ \t]*)(?=\S)")  # describe rules off a ConfigMap's keys
_BESIDE = _re(r"""{q}(?P<sep>[ \t]+(?:is|by)[ \t]+ | ,?[ \t]+ | ,(?=\\*["']))(?=\S)""")
_ARGUMENT = _re(r"""{q},?\s*(?:-[ ]|,[ ]*)?(?P<quote>\\*["'])?(?=[^\s-])""")
_VALUE_AFTER = _re(r"{q}(?:>(?=\w)|(?:</\w+>)?[\s,;]*+{n}{others}<?{q}(?:value|default){q}[ ]*+[:=>][ ]*+)")
_VALUE_BEFORE = _re(r"(?:value|default){q}[ ]*+[:=][ ]*+")
_BETWEEN = _re(r"{q}[\s,]*{n}{others}{q}\Z")

# How a value begins.
_NESTED = _re(r"""\{(?=[\s"'\\}]|\w+[ ]?[:=]|\Z) | \[\s*[\[{]""")
_BLOCK = _re(r"[|>][+-]?\d?[ \t]*\r?\n[ \t]*(?=\S)")
_QUOTE = _re(r"""\\*["']""")
_CALL = _re(r"""(?: string\(\d+\)[ ] | \w+\( | N )(?=\\*["']) | \[(?=[^\s\]\[])""")
_SCHEME = _re(r"[\w-]+[ ]+")  # Bearer, Basic, GenieKey, …
_PARAMETER = _re(r"""(?:response|signature|credential|oauth_\w+)="?([^",\s]+)""")
_COOKIE = _re(r"""(?!path|domain|expires|max-age|samesite|version)[\w.%-]+=([^\s;"'\\]{8,})""")


def find(text: str, at: int, *, own: str = "") -> Iterable[Taken]:
    r"""The value that belongs to the name around `at`. `own`: one of the policy file's names: no other, but any value.

    The n of `\npassword` isn't part of a name, nor is `\u003c`.
    """
    left, right = text[max(0, at - 96) : at], text[at : at + 96]
    begin, end = at - len(left) + len(left.rstrip(f"{_IN_NAMES}/")), at + len(right) - len(right.lstrip(_IN_NAMES))
    if text[begin - 1 : begin] == "\\" and begin < at:
        begin += 5 if text[begin] == "u" else 1
    before = text[max(text.rfind("\n", 0, begin) + 1, begin - 200) : begin]
    if own:
        level = PASSWORD if text[begin:end].lower().endswith(own) else NOTHING
    else:
        title = _TITLE.search(before) if before[-1:] == " " and before[-2:-1].isalnum() else None
        level = max(promise(text[begin:end]), promise(title[1] + text[begin:end]) if title else NOTHING)
    return _Name(text, begin, end, level, before).value() if level != NOTHING else ()


class _Name:
    """A telling name, and the forms in which its value may stand. `before` is what precedes it in its line."""

    def __init__(self, text: str, begin: int, end: int, level: int, before: str) -> None:
        self.text, self.begin, self.end, self.level, self.before = text, begin, end, level, before
        self.name = text[begin:end].lower()
        self.indent = len(before) - len(before.lstrip(" -"))
        self.leads = _LEADS.match(before, max(0, before.rfind(r"\n")))
        """Set if only quotes and dashes stand before it."""

    def value(self) -> Iterator[Taken]:
        """The value, in whatever form it stands."""
        if named := _IS_VALUE.search(self.text, max(0, self.begin - 48), self.begin):
            yield from self._pair(named.start("key"))
        elif _URN.match(self.before[-2:]):
            return
        elif self.before.endswith(("<", r"\u003c")) and (opened := _TAG_ENDS.match(self.text, self.end)):
            yield from self._judged(opened.end(), values.tag)
        elif assign := _ASSIGN.match(self.text, self.end):
            yield from self._assigned(assign)
        elif self.text[self.begin] != "-":
            yield from self._beside()
        elif argument := _ARGUMENT.match(self.text, self.end):  # the next word, or the next item of the list
            yield from self._judged(
                argument.end(), quoted(argument["quote"]) if argument["quote"] else word, prose=True
            )

    def _judged(self, at: int, ends: Ends, *, prose: bool = False, level: int | None = None) -> Iterator[Taken]:
        """What stands here, if it can be a credential. `prose`: it may as well be the next word."""
        end = ends(self.text, at)
        value = self.text[at:end].rstrip()
        if values.taken(value, level or self.level, prose=prose):
            yield Taken(at, at + len(value) if end < len(self.text) else end, ends)

    def _opened(self, at: int, rest: Ends = word, *, prose: bool = False) -> Iterator[Taken]:
        """A value that begins here, whatever encloses it. `rest`: where one without quotes ends."""
        level, cookie = self.level, self.name in {"cookie", "set-cookie"}
        if _NESTED.match(self.text, at):
            return
        if below := _BLOCK.match(self.text, at):
            yield from self._judged(below.end(), values.block(self.indent))
            return
        if call := _CALL.match(self.text, at):
            at, rest = call.end(), word
        quote = _QUOTE.match(self.text, at)
        # Without a second one it is the first character of what describe prints as it is.
        if quote and (rest not in {line, values.bare_word} or quote[0] in self.text[quote.end() : line(self.text, at)]):
            at, rest, prose = quote.end(), quoted(quote[0]), False
        if cookie or self.name.endswith(("auth", "authorization")):
            most = values.logical_line if cookie else rest
            parameters = list((_COOKIE if cookie else _PARAMETER).finditer(self.text, at, most(self.text, at)))
            for parameter in parameters:
                yield from self._judged(parameter.start(1), word, level=SECRET)
            if cookie or parameters:
                return
            if scheme := _SCHEME.match(self.text, at):
                at, prose, level = scheme.end(), True, PASSWORD
        yield from self._judged(at, rest, prose=prose, level=level)

    def _pair(self, key: int) -> Iterator[Taken]:
        """The value of an object whose name is the credential's. `key`: where the key of that name begins."""
        if after := _VALUE_AFTER.match(self.text, self.end):
            yield from self._opened(after.end(), line if "\n" in after[0] and not {'"', ">"} & set(after[0]) else word)
            return
        low = max(0, key - NEAR)
        at = max(self.text.rfind("value", low, key), self.text.rfind("default", low, key))
        if at >= 0 and (before := _VALUE_BEFORE.match(self.text, at)):
            for found in self._opened(before.end(), word if '"' in before[0] else line):
                if found.end <= key and _BETWEEN.match(self.text[found.end : key]):
                    yield found

    def _assigned(self, assign: re.Match[str]) -> Iterator[Taken]:
        """What stands behind `:` or `=`, on this line or below it, as describe and PHP have it."""
        at, rest, leads = assign.end(), word, None if assign["close"] else self.leads
        if below := _BELOW.match(self.text, at):
            value = self.text[below.end() : line(self.text, below.end())].strip()
            deeper = len(below["indent"]) > self.indent and not value.endswith((":", ",", "{", "["))
            if _CALL.match(self.text, below.end()):
                yield from self._opened(below.end())
            elif below["ruler"] or (deeper and " " not in value):
                yield from self._judged(below.end(), line)
            return
        if leads and (assign["sep"] == ":" or (assign["sep"] == "=" and assign["after"])):
            rest = quoted(leads["quote"]) if leads["quote"] else values.logical_line if leads["inner"] else line
        elif leads and assign["sep"] == "=" and not (leads["quote"] or leads["inner"]):
            rest = values.bare_word
        value = self.text[at : rest(self.text, at)].strip()
        prose = " " in value and not any(map(str.isdigit, value))
        yield from self._opened(at, word if prose else rest, prose=prose or not self.leads)

    def _beside(self) -> Iterator[Taken]:
        """`requirepass x`, `password is x`, `PASSWORD 'x'`, `define('DB_PASSWORD', 'x')`, and two columns."""
        beside = _BESIDE.match(self.text, self.end)
        if not beside or ("," in beside["sep"] and self.before[-4:].rstrip(" \"'\\")[-1:] != "("):
            return
        quote = _QUOTE.match(self.text, beside.end())
        if self.name.endswith("authorization") or (quote and (self.level == PASSWORD or "," in beside["sep"])):
            yield from self._opened(beside.end(), prose=True)
            return
        directive = self.leads and self.name in {"requirepass", "masterauth"}
        for found in self._judged(quote.end() if quote else beside.end(), word, prose=not directive):
            value = self.text[found.start : found.end]
            odd = any(c.isdigit() for c in value) and not {":", "/"} & set(value) and not values.plain(value)
            strong = self.level == PASSWORD and len(value) > 7 and odd
            if self.level == WEAK or directive or strong or values.by_chance(value):
                yield found
