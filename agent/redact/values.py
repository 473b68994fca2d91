"""Values: where one ends, and whether it can be a credential, given how much its name promises.

A value may be longer than the text at hand: each of the ends can go on in the next, where it stopped. Patterns repeat a
group as `(?>(?:…)*)`, never as `(?:…)*+`: before CPython 3.11.5 and 3.12 the latter ends amid what it should take
(gh-106052). Debian 12 has 3.11.2.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

Ends = Callable[[str, int], int]
"""(text, at) → where the value ends that goes on at `at`. The text's length if it may go on after that."""


class Taken(NamedTuple):
    """A credential, and how it goes on where the text ends within it."""

    start: int
    end: int
    ends: Ends | None = None


Find = Callable[[str, int], Iterable[Taken]]  # (text, where the anchor begins) → credentials
NEAR = 4096  # characters within which a name and its value, or the keys of one object, are looked for


def _to(pattern: str) -> Ends:
    compiled = re.compile(pattern + "|", re.VERBOSE | re.ASCII)
    return lambda text, at: compiled.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing at least


word = _to(
    r"""(?>(?: [^\s"'<>\\\x1b&;,)\]}`.] | \.(?!\s|$) | (?:&|\\+u0026)(?![\w.-]+=)
    | ,(?![\s"'\\]|$|\w[\w.-]{0,40}[=:]) | ;(?![\s"'\\]|$|[ ]?\w[\w .-]{0,40}[=:])
    | [)\]}](?![\s"'\\,;:)\]}]|\.\s|\.?$) )*)"""
)
"""Up to a blank, a quote, or a delimiter that something else follows."""
bare_word = _to(r"(?>(?:[^\s&;,] | [&;,](?![\w.-]+=))*)")  # the same where quotes are part of it: environment files
run = _to(r"(?>(?:[\w+/=~-]|\.+(?=[\w+/=~-]|\Z))*)")  # base64, URLs' base64, and dots between
line = _to(r"(?>(?:[^\n\r\\ ]|[ ](?!\#[ ])|\\(?!n\\?(?:\n|\Z)))*)")
r"""The rest of the line, without a comment. KYAML writes \n\ at its end."""
logical_line = _to(r'(?>(?:[^"\n\r\\]|\\(?![nrt"\\]))*)')
r"""The rest of a line inside a quoted string, where line ends are written \n."""
tag = _to(r"(?>(?:(?!\\+u003c)[^<\n])*)")  # the inside of an XML element

STAMP = r"(?:\[pod/[^\s\]]{1,400}\][ ])?(?:\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+-]\d\d:\d\d)[ ])?"
"""What `kubectl logs --prefix --timestamps` writes before each line."""
BREAK = rf"""(?>(?:\\+[nrt])*)[\s>|"',]*+\\?+[\s>|"',]*+{STAMP}"""
key_lines = _to(
    rf"""{STAMP} [A-Za-z0-9+/=]*+ (?>(?: {BREAK} (?: (?:Proc-Type|DEK-Info|Version|Comment|Hash):[^\n\\]*+
    | [A-Za-z0-9+/=]{{16,}}+ (?![ ]?[\w:])
    | [A-Za-z0-9+/=]{{1,76}}+ (?={BREAK}(?:=[A-Za-z0-9+/]{{4}}{BREAK})?(?:-----END|$)) ) )*) (?:\n\Z)?"""
)
"""Base64 in lines, however these end, and the headers of old keys."""


def quoted(quote: str) -> Ends:
    r"""Up to this closing quote: `"`, `'`, or in JSON within JSON `\"`, `\\\"`. YAML folds long ones over deeper lines.

    In a string n levels deep a quote has 2^n - 1 backslashes; what stands within it has more, but for escaped ones.
    """
    mark, slashes = quote[-1], len(quote) - 1
    pairs, inner = rf"\\{{{2 * slashes + 2}}}", rf"(?!\\{{{slashes}}}{mark})\\++{mark}?"
    return _to(rf"(?>(?:[^{mark}\\\n]++ | \n(?=\s|\Z) | {pairs} | {inner} | '')*)")


def block(indent: int) -> Ends:
    """Lines that are deeper than `indent`, and empty ones between them."""
    return _to(rf"[^\n]*+(?>(?:\n[ \t\r]*+(?=\n)|\n[ ]{{{indent + 1},}}+[^\n]*+)*)(?:\n[ ]*+$)?")


PASSWORD, SECRET, WEAK, NOTHING = 3, 2, 1, 0
"""How much a name promises. PASSWORD: any value is taken. SECRET (token, secret, API key): any but a plain word or an
object's name, for such keys often name a Secret. WEAK (some key, signature): only what looks like chance."""

harmless = re.compile(
    r"""[,;]?$ | \#[ ] | [<\[(]?(?:redacted|filtered|masked) | \((?:sensitive|known|hidden|none|unset)
    | \*+$ | x{3,}$ | \.{3} | -+$
    | (?:null|none|nil|true|false|yes|no|on|off|undefined|unset|n/a|~|string|str|bytes?|object|text|integer|boolean
      |data\+omitted|varchar\S*)[,;]?$
    | <[^<>]*> | \$\{(?:\w+(?:[:#%/}.?-]|$)|\{) | \$\([\w./ :-]+(?:\)|$) | \{\{ | \{[A-Za-z_][\w.]*\}?$
    | (?-i:\$(?:[A-Z_][A-Z\d_]*|[a-z_][a-z\d_]*)(?:$|[/:.])) | %[\w%]+%$ | @\w+@$
    | !(?:ref|sub|getatt|import\w*|vault|env|secret|file)\b
    | [A-Za-z_][\w.]*(?:\((?:[\w\s,.'"=-]*\)+)?|\[(?:["']?[\w.-]*["']?\]?)?)$ | (?-i:[a-z_][a-z_.]{2,}\()
    | (?:os|process|self|this|config|settings|args|options|params)\.
    | (?:arn|ssm|vault|file|env|ref\+\w+|gcp-?sm|awssm|https?|secretref): | (?:(?:hmac-)?sha\d+|md5)[:-]
    | enc[\[(] | AAAA[A-Z][\w+/]{30} | \{cipher\} | ag[ab][\w+/=]{200,}$ | \d+\s+bytes$ | [~.]{1,2}/
    | (?:(?-i:[a-z0-9]+-)|[a-z0-9]+[_./])*(?:passw(?:or)?d|pwd?|passphrase|token|secret|(?:api)?key|auth|cert|cred\w*)$
    | /(?:path|run|var|etc|opt|mnt|tmp|home|usr|vault|secrets?|tls|certs?|config|app|data|dev|proc|root|srv|keys?|ssl)
      \b[\w./-]*$""",
    re.VERBOSE | re.IGNORECASE,
).match
"""Whether this can't be a credential, whatever its name: empty, a comment, masked already; a word or type; a
placeholder, variable or tag; a call; an address or digest; encrypted by design (SOPS, jasypt, Spring, SealedSecrets); a
public SSH key; the size that describe gives of a Secret's value; the name of a key (`passwordKey: admin-password`); a
file."""
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$", re.IGNORECASE)
_TURN = re.compile(r"(?<=[a-z])[A-Z]|(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]", re.ASCII)
_OBJECT = re.compile(r"[a-z0-9]+(?:[-./_][a-z0-9]+)+$")
_TYPED = re.compile(r"[a-z](?<!v)\d*[013]\d*[a-z]{2}")
"""What Kubernetes and kustomize make up for the end of a name has no 0, 1 or 3; v1beta1 has, and l10n."""


def by_chance(value: str) -> bool:
    """Whether this looks like chance: long, and small letters, capitals and digits take turns often."""
    longest = max(re.split(r"[-./:,@]", value), key=len)
    often = len(_TURN.findall(longest)) * 4.5 >= len(longest) >= 14
    return often and any(c.isdigit() for c in longest) and not re.search(r"\s", value)


def plain(value: str) -> bool:
    """Whether this is a word, a number, or the name of an object: `regcred`, `orders-db`, `shop/web-tls`, `expired`."""
    if value.isdigit() or value.isalpha():
        return len(value) < (8 if value.isdigit() else 20)
    return bool(_OBJECT.match(value) and not (_UUID.match(value) or _TYPED.search(value) or by_chance(value)))


def taken(value: str, level: int, *, prose: bool) -> bool:
    """Whether a value is a credential, given what its name promises. `prose`: it may as well be the next word.

    One that reads like a label is one, in whatever language: `"password": "Mot de passe"`.
    """
    label = value[:1].isupper() and value[1:].islower() and value.replace(" ", "").rstrip("?!.:").isalpha()
    text = any(line.strip().count(" ") > 7 for line in value.splitlines())
    if len(value) < 3 or value[0] in " :" or label or text or harmless(value):
        return False
    if prose and (value[0] in "([" or value[-1] == ":" or (value.isalpha() and (value.islower() or value.isupper()))):
        return False
    return level == PASSWORD or (by_chance(value) if level == WEAK else not plain(value))
