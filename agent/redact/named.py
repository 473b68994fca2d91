"""From a telling name to its value: `password=x`, `"token": "x"`, `- name: API_KEY` and below it `value: x`."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from string import ascii_letters, digits

from agent.redact import values
from agent.redact.values import NEAR, NOTHING, PASSWORD, SECRET, WEAK, Ends, Taken, line, quoted, word

# fmt: off
_PROMISES = [(level, re.compile(pattern)) for level, pattern in (
    (NOTHING, r"^(?:key)?$|\b(?:existing|ref|checksum|public|pub|provider|mount|reset|forgot|min|max|policy)\b"),
    (PASSWORD, r"pass ?(?:word|phrase)$|passwd$|passwort$|\b(?:passwords|pass ?code|pass|pwd|pw)$"
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
    said = _AFTERTHOUGHT.sub("", " ".join(_WORDS.findall(name)).lower()) if name != "PWD" else ""  # a shell's folder
    return next((level for level, ends in _PROMISES if ends.search(said)), NOTHING)


_re = partial(re.compile, flags=re.VERBOSE | re.IGNORECASE | re.MULTILINE)
_Q = r"""(?>(?:\\*["'])?)"""  # a quote at any depth, or none
_N = r"(?>(?:\s|\\+n)*)"  # line ends, also as \n
_OTHERS = rf"(?>(?:{_Q}(?!(?:value|default)\b)\w++{_Q}[ ]*+[:=][ ]*+[^\s,{{}}][^\n,{{}}]{{0,80}}+[\s,]++){{0,2}})"
"""Up to two other keys of an object and their values."""

# What stands before a name, and in it.
_IN_NAMES = f"{ascii_letters}{digits}_.-"
_URN = _re(r"[\w}\]*]:\Z")  # arn:aws:secretsmanager:…:secret:x
_TITLE = re.compile(r"(?:^|: )[ \t]*((?:[A-Z]\w*[ ]){1,3})\Z")  # describe has `Admin API Key:`
_LEADS = _re(rf"(?P<inner>\\n)?[ \t]*(?:-[ ]+)*(?:export[ ]+)?(?P<quote>{_Q})\Z")
_IS_VALUE = _re(rf"""(?:\A|[\s{{,\[(<"'\\-]|\\n)(?P<key>(?:name|key){_Q}[ ]*+[:=>]\s*+{_Q})\Z""")

# What stands between a name and its value.
_COLOUR = r"(?:\x1b\[[\d;]*m)?"  # a terminal's
_ASSIGN = _re(rf"(?P<close>\\*[\"'])?\]?{_COLOUR}(?:[ ]\d+)?[ \t]*(?P<sep>[=-]>|:=|=|:)(?P<after>[ \t]*){_COLOUR}")
_TAG_ENDS = _re(r"(?:>|\\u003e)(?=[^\s<\\])")
_RULER = _re(r"[ \t]*\r?\n-{4}\r?\n(?=\S)")  # as describe has it below a ConfigMap's key
_BESIDE = _re(rf"""{_Q}(?:[ \t]+(?:is|by)[ \t]+ | ,?[ \t]+ | ,(?=\\*["']))(?=\S)""")
_ARGUMENT = _re(rf"""{_Q},?\s*(?:-[ ]|,[ ]*)?(?=\\*["']?[^\s-])""")
_VALUE_AFTER = _re(rf"{_Q}(?:>(?=\w)|(?:</\w+>)?[\s,;]*+{_N}{_OTHERS}<?{_Q}(?:value|default){_Q}[ ]*+[:=>][ ]*+)")
_VALUE_BEFORE = _re(rf"(?:value|default){_Q}[ ]*+[:=][ ]*+")
_BETWEEN = _re(rf"{_Q}[\s,]*{_N}{_OTHERS}{_Q}\Z")

# How a value begins.
_NESTED = _re(r"""\{(?=[\s"'\\}]|\w+[ ]?[:=]|\Z) | \[\s*[\[{]""")
_BLOCK = _re(r"[|>][+-]?\d?[ \t]*\r?\n[ \t]*(?=\S)")
_QUOTE = _re(r"""\\*["']""")
_CALL = _re(r"""(?:string\(\d+\)[ ] | \w+\( | N )(?=\\*["']) | \[(?=[^\s\]\[])""")
_SCHEME = _re(r"[\w-]+[ ]+")  # Bearer, Basic, GenieKey, …
_PART = _re(r"""\b(?!path|domain|expires|max-age|realm|uri|signedheaders)[\w.%-]+="?([^\s;,"'\\]{8,})""")


def find(text: str, at: int, *, own: str = "") -> Iterable[Taken]:
    """The value of the name around `at`. `own`: one of the policy file's names: no other, but any value."""
    name = _Name(text, at, own)
    return name.value() if name.level else ()


class _Name:
    """A name, what it promises, and the forms in which its value may stand."""

    def __init__(self, text: str, at: int, own: str) -> None:
        left, right = text[max(0, at - 96) : at], text[at : at + 96]
        begin, end = at - len(left) + len(left.rstrip(f"{_IN_NAMES}/")), at + len(right) - len(right.lstrip(_IN_NAMES))
        if text[begin - 1 : begin] == "\\" and begin < at:  # the n of `\npassword` isn't part of it, nor is `\u003c`
            begin += 5 if text[begin] == "u" else 1
        self.text, self.begin, self.end, self.name = text, begin, end, text[begin:end].lower()
        self.before = before = text[max(text.rfind("\n", max(0, begin - 200), begin) + 1, begin - 200) : begin]
        if own:
            self.level = PASSWORD if self.name.endswith(own) else NOTHING
        else:
            title = _TITLE.search(before) if before[-1:] == " " and before[-2:-1].isalnum() else None
            self.level = max(promise(text[begin:end]), promise(title[1] + text[begin:end]) if title else NOTHING)

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
            yield from self._opened(argument.end(), prose=True)

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
            yield from self._judged(below.end(), values.block(len(self.before) - len(self.before.lstrip(" -"))))
            return
        if call := _CALL.match(self.text, at):
            at, rest = call.end(), word
        quote = _QUOTE.match(self.text, at)
        # Without a second one it is the first character of what describe prints as it is.
        if quote and (rest not in {line, values.bare_word} or quote[0] in self.text[quote.end() : line(self.text, at)]):
            at, rest, prose = quote.end(), quoted(quote[0]), False
        if cookie or self.name.endswith(("auth", "authorization")):
            most = values.logical_line if cookie else rest
            parts = list(_PART.finditer(self.text, at, most(self.text, at)))
            for part in parts:
                yield from self._judged(part.start(1), word, level=SECRET)
            if parts or cookie:
                return
            if scheme := _SCHEME.match(self.text, at):
                at, prose, level = scheme.end(), True, PASSWORD
        yield from self._judged(at, rest, prose=prose, level=level)

    def _pair(self, key: int) -> Iterator[Taken]:
        """The value of an object whose name is the credential's. `key`: where the key of that name begins."""
        if after := _VALUE_AFTER.match(self.text, self.end):
            yield from self._opened(after.end(), line if "\n" in after[0] and not {'"', ">"} & set(after[0]) else word)
            return
        at = max(self.text.rfind(said, max(0, key - NEAR), key) for said in ("value", "default"))
        if at >= 0 and (before := _VALUE_BEFORE.match(self.text, at)):
            self.text = self.text[: key + 1]  # a line may be as long as the window, with a name in every word
            for found in self._opened(before.end(), word if '"' in before[0] else line):
                if found.end <= key and _BETWEEN.match(self.text[found.end : key]):
                    yield found

    def _assigned(self, assign: re.Match[str]) -> Iterator[Taken]:
        """What stands behind `:` or `=`, or below it."""
        at, rest, before = assign.end(), word, _LEADS.match(self.before, max(0, self.before.rfind(r"\n")))
        leads = None if assign["close"] else before
        if ruler := _RULER.match(self.text, at):
            yield from self._opened(ruler.end(), line)
            return
        if leads and (assign["sep"] == ":" or (assign["sep"] == "=" and assign["after"])):
            rest = quoted(leads["quote"]) if leads["quote"] else values.logical_line if leads["inner"] else line
        elif leads and assign["sep"] == "=" and not (leads["quote"] or leads["inner"]):
            rest = values.bare_word
        value = self.text[at : rest(self.text, at)].strip()
        prose = " " in value and not any(map(str.isdigit, value))
        yield from self._opened(at, word if prose else rest, prose=prose or not before)

    def _beside(self) -> Iterator[Taken]:
        """`password is x`, `PASSWORD 'x'`, `define('DB_PASSWORD', 'x')`, and two columns."""
        beside = _BESIDE.match(self.text, self.end)
        if not beside or ("," in beside[0] and self.before[-4:].rstrip(" \"'\\")[-1:] != "("):
            return
        quote = self.text[beside.end()] in "\"'\\"
        for found in self._opened(beside.end(), prose=True):
            value = self.text[found.start : found.end]
            odd = any(c.isdigit() for c in value) and not {":", "/"} & set(value) and not values.plain(value)
            strong = self.level == PASSWORD and len(value) > 5 and odd
            said = quote and (self.level == PASSWORD or "," in beside[0])
            if strong or said or self.name.endswith("authorization") or values.by_chance(value):
                yield found
