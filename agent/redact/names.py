"""Does a name promise a credential, and can this value be one? Nothing here knows where they stand."""

import base64
import re
from functools import lru_cache
from itertools import pairwise

PASSWORD, SECRET, WEAK, NOTHING = 3, 2, 1, 0
"""How much a name promises.

PASSWORD: any value is taken. SECRET (token, secret, API key): any but a plain word or an object's name, for such keys
often name a Secret. WEAK (some key, signature, session): only a value that looks like chance.
"""


def words(text: str) -> frozenset[str]:
    """A set, as it is written here."""
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PASSWORDS = words(
    "password passwords passwd passwort passphrase passcode pwd pass pw psw kennwort requirepass masterauth identified"
    " bindpw rootpw dbpass userpass"
)
_SECRETS = words("token secret apikey authkey credential credentials cookie")
_WEAK = words("authorization auth key signature sig")
_GLUED = (
    ("password", "passwd", "passphrase", "passwort"),
    ("secret", "token", "apikey", "secretkey", "privatekey", "accesskey"),
)
_KEYS = words(
    "api secret private access signing encryption master shared account license auth service admin session app root"
    " application client unseal subscription webhook hmac jwt cookie crypt deploy ingest integration preshared psk"
    " storage fernet sas consumer"
)
"""What makes a `key` a credential."""
_OTHER_KEYS = words(
    "cache partition sort primary foreign idempotency host gpg object dedup row shard group lock topology range map"
    " label image trace store known etag event message password token"
)
_OTHER_TOKENS = words(
    "page next input output continue continuation cursor sync cancel stop start end eos bos pad unk max min num"
)
_OTHER_SECRETS = words("pull tls image existing password token key basic")
"""Before `secret` these make the name of an object: pullSecret, tlsSecret, passwordSecret."""
_SUFFIXES = words("old new prod dev test staging base b plain text value default current previous primary live")
"""Said after the word that counts: DB_PASSWORD_OLD, TOKEN_BASE64, SECRET_2."""
_ELSEWHERE = words("existing ref checksum public pub provider mount reset forgot min max policy")
"""A name with one of these measures a credential, or says where it is."""


@lru_cache(maxsize=4096)
def promise(name: str) -> int:
    """What this name (of a variable, key, flag, header) says of its value."""
    said = [word.lower() for word in _WORD.findall(name)]
    while len(said) > 1 and said[-1] in _SUFFIXES:
        said.pop()
    path = name[:1] == "/" or name in {"PWD", "OLDPWD"}  # the working folder of every shell
    if path or said in ([], ["key"]) or not _ELSEWHERE.isdisjoint(said):
        return NOTHING
    last, others = said[-1], frozenset(said[:-1])
    if last in _PASSWORDS or last.endswith(_GLUED[0]) or "".join(said[-2:]) in _PASSWORDS:
        return PASSWORD
    other = _OTHER_SECRETS if last == "secret" else _OTHER_KEYS if last == "key" else _OTHER_TOKENS
    if last.endswith(("secret", "key", "token")) and not other.isdisjoint(others):
        return NOTHING
    if last in _SECRETS or last.endswith(_GLUED[1]) or (last == "key" and not _KEYS.isdisjoint(others)):
        return SECRET
    return WEAK if last in _WEAK or (last == "id" and {"access", "key"} <= others) else NOTHING


_NEVER = re.compile(
    r"""[,;]?$ | \#[ ] | [\[{(]?[\])}]?[,;]?$ | [<\[(]?redacted | \((?:sensitive|known|hidden|none|unset)
    | \*+$ | x{3,}$ | \.{3} | -+$
    | (?:null|none|nil|true|false|yes|no|on|off|undefined|unset|n/a|~|string|str|bytes?|object|text|integer|boolean
      |data\+omitted|varchar\S*)[,;]?$
    | <[^<>]*> | \$\{(?:\w+(?:[:#%/}.?-]|$)|\{) | \$\([\w./ :-]+(?:\)|$) | \{\{ | \{[A-Za-z_][\w.]*\}?$
    | (?-i:\$(?:[A-Z_][A-Z\d_]*|[a-z_][a-z\d_]*)(?:$|[/:.])) | %[\w%]+%$ | @\w+@$
    | !(?:ref|sub|getatt|import\w*|vault|env|secret|file)\b
    | [A-Za-z_][\w.]*(?:\((?:[\w\s,.'"=-]*\)+)?|\[(?:["']?[\w.-]*["']?\]?)?)$ | (?-i:[a-z_][a-z_.]{2,}\()
    | (?:os|process|self|this|config|settings|args|options|params)\.
    | (?:arn|ssm|vault|file|env|ref\+\w+|gcp-?sm|awssm|https?|secretref): | (?:sha\d+|md5)[:-]
    | enc[\[(] | AAAA[A-Z][\w+/]{30} | \{cipher\} | ag[ab][\w+/=]{200,}$ | \d+\s+bytes$ | [~.]{1,2}/
    | /(?:path|run|var|etc|opt|mnt|tmp|home|usr|vault|secrets?|tls|certs?|config|app|data|dev|proc|root|srv|keys?|ssl)
      \b[\w./-]*$""",
    re.VERBOSE | re.IGNORECASE,
)
"""Empty, a comment, masked already; a word or type; a placeholder, variable or tag; a call; an address or digest;
encrypted by design (SOPS, jasypt, Spring, SealedSecrets); a public SSH key; the size that describe gives of a Secret's
value; a file."""
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$", re.IGNORECASE)
_TURN = re.compile(r"(?<=[a-z])[A-Z]|(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]", re.ASCII)
_OBJECT = re.compile(r"[a-z0-9]+(?:[-./_][a-z0-9]+)*$")
_SAID = words("password passwd pwd passphrase token secret key auth tls credentials pw cert creds apikey")


def harmless(value: str) -> bool:
    """Whether this can't be a credential, whatever its name."""
    return _NEVER.match(value) is not None


def by_chance(value: str) -> bool:
    """Whether this looks like chance: long, and small letters, capitals and digits take turns often."""
    longest = max(re.split(r"[-./:,@]", value), key=len)
    often = len(_TURN.findall(longest)) * 4.5 >= len(longest) >= 14 and any(c.isdigit() for c in longest)
    return often and len(value) >= 16 and "://" not in value and not re.search(r"\s", value)


def plain(value: str) -> bool:
    """Whether this is a word, or the name of an object: `regcred`, `orders-db`, `shop/web-tls`, `expired`."""
    if value.isalpha():
        return len(value) < 20 and 3 * sum(a.isupper() != b.isupper() for a, b in pairwise(value)) <= len(value)
    named = _OBJECT.match(value) and not _UUID.match(value)
    return bool(named) and any(c in value for c in "-./_") and not by_chance(value)


def says(value: str) -> bool:
    """Whether this is itself a key's name, and says where the credential is: `passwordKey: admin-password`."""
    named = _OBJECT.match(value) or re.fullmatch(r"[A-Z0-9]+_[A-Z0-9_]+", value)
    return named is not None and re.split("[-._]", value.lower())[-1] in _SAID


def taken(value: str, level: int, *, prose: bool) -> bool:
    """Whether a value is a credential, given what its name promises. `prose`: it may as well be the next word.

    One that reads like a label is one, in whatever language: `"password": "Mot de passe"`.
    """
    letters = value.replace(" ", "").rstrip("?!.:").isalpha()
    label = letters and value[:1].isupper() and value[1:].islower()
    if len(value) < 3 or harmless(value) or says(value) or label or value[0] == " " or value.count(" ") > 7:
        return False
    if prose and (value[0] in "([" or (value.isalpha() and value in {value.lower(), value.upper()})):
        return False
    if level == PASSWORD:
        return not (value.isdigit() and len(value) < 4)
    if level == SECRET:
        return not plain(value) and not (value.isdigit() and len(value) < 8)
    return by_chance(value) or _is_basic(value)


def _is_basic(value: str) -> bool:
    """Whether this is user:password, or base64 of it, as in haproxy's `stats auth`, a docker config, .npmrc."""
    try:
        value = base64.b64decode(value, validate=True).decode("ascii")
        return re.fullmatch(r"[ -~]+:[ -~]+", value) is not None
    except ValueError:
        return re.fullmatch(r"[\w.-]+:(?=[^:]*[A-Za-z])(?=[^:]*\d)[^\s:/]{6,}", value) is not None
