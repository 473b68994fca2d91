r"""The rules, as a table: what is taken, what is left, and why. A reviewer need read no more than this.

An anchor is a piece of text that stands in every credential of that form, or beside it; only where it is found does a
rule look closer. Anchors begin with a literal, so that text without credentials passes at the speed of a search:
`(?i)`, `\b` or `[\w-]*` at a pattern's head is 50 to 200 times slower in Python's re.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from agent.redact import forms, named
from agent.redact.forms import Find, by
from agent.redact.values import key_block, run, word

Places = Callable[[str, str], list[int]]
"""(text, the same in lower case) → where to look closer, in order."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One form of credential."""

    kind: str
    """Its name in counts, metrics, and the policy file's `redact_off`."""
    places: Places
    find: Find
    takes: str
    leaves: str
    why: str


def exact(*anchors: str) -> Places:
    """Where one of these stands."""
    compiled = [re.compile(anchor) for anchor in anchors]

    @lru_cache(maxsize=1)  # rules may share one
    def places(text: str, _low: str) -> list[int]:
        return sorted(match.start() for anchor in compiled for match in anchor.finditer(text))

    return places


def folded(*anchors: str) -> Places:
    """The same, whatever their case."""
    find = exact(*anchors)
    return lambda _text, low: find(low, low)


_URLS, _JSON = exact("://"), exact("eyJ")
_NAMES = ("k(?:en|ey|ie)", "cre[td]", r'p(?:ass(?!e[ds]|in)|w[d:=" ])', "auth(?!en)", "sig(?:=|nature)", "identified")

# fmt: off
RULES = (
    Rule("named", folded(*_NAMES), named.find,
         "the value of a name that promises one: password, token, API key, …",
         "the name; references, files, placeholders, plain words, what is masked", "env, ConfigMaps, arguments, logs"),
    Rule("url", _URLS, forms.url,
         "a URL's password; a token in its user's place", "scheme, user, host, path", "RFC 3986 §3.2.1"),
    Rule("webhook", _URLS, by(forms.WEBHOOK, run),
         "a webhook's path", "the service's host", "Slack, Discord, Teams, Telegram, …: who knows it may post"),
    Rule("dsn", exact(r"@(?=(?:tcp|udp|unix)?\()"), forms.dsn,
         "user:X@tcp(…)", "user and address", "Go's MySQL driver"),
    Rule("dsn", exact("thin:"), by(r"""thin:[\w.-]+/"?([^\s"'@/]{1,256})"?@"""),
         "thin:user/X@…", "user and address", "Oracle's JDBC driver"),
    Rule("private-key", exact("-----BEGIN"), by(forms.PRIVATE_KEY, key_block),
         "the lines of a private key", "BEGIN and END; certificates; the mere mention", "RFC 7468, OpenSSH, PGP"),
    Rule("encoded-file", exact("LS0tLS1CRUdJTi", "YXBpVmVyc2lvbjog"), forms.encoded,
         "a private key or kubeconfig in base64", "certificates, other manifests", "data of Secrets"),
    Rule("encoded-file", _JSON, forms.encoded,
         "a docker config in base64", "other JSON in base64", "data of Secrets"),
    Rule("jwt", _JSON, by(forms.JWT, run),
         "JWT, JWE, detached JWS, and one that was cut", "other base64 of {\"", "RFC 7519, 7516"),
    Rule("token", forms.tokens, by(forms.TOKEN, run),
         "ghp_, glpat-, AKIA, xoxb-, sk-, …", "UUIDs, digests, trace ids", "services document their tokens' prefixes"),
    Rule("password-hash", exact(r"\$(?=[2a156y7s\d])"), by(forms.HASH),
         "bcrypt, crypt(3), apr1, argon2, SCRAM", "the user", "it can be guessed at leisure"),
    Rule("bearer", folded("bearer "), by(r"(?i:bearer)[ ]+((?=[\w.~+/=-]*\d)[\w.~+/=-]{16})", run),
         "Bearer X", "Bearer realm=…", "RFC 6750"),
    Rule("command-line", exact("curl", "m(?:ysql|ariadb)", "redis-cli", "sshpass"), by(forms.COMMAND, word),
         "curl -u user:X, mysql -pX, redis-cli -a X, sshpass -p X", "-p, -u and -a of others", "their manuals"),
    Rule("secret-object", folded(r'secret(?<=[ "]secret)(?![-\w./])'), forms.secret_object,
         "a Secret's data and stringData", "its name and keys", "manifests in ConfigMaps and logs"),
    Rule("jwk", exact("kty"), forms.jwk,
         "private members of a JSON Web Key", "public members", "RFC 7517, 7518"),
    Rule("pgpass", exact(":5432:"), by(r':5432:[\w*.-]+:[\w.-]+:([^\s\\"]+)', word),
         "host:5432:database:user:X", "the other four", "PostgreSQL's password file"),
    Rule("repeated", exact(), by("(?!)"),
         "a value that `named` took, again without its name", "short and plain ones", "retries in logs"),
)
# fmt: on

KINDS = (*dict.fromkeys(rule.kind for rule in RULES), "custom")
"""Those of the table, and `custom` for the policy file's own names and patterns."""
