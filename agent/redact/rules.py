r"""The rules, as a table: what is taken, what is left, and why. A reviewer need read no more than this.

An anchor is a piece of text that stands in every credential of that form, or beside it; only where it is found does a
rule look closer. Anchors begin with a literal, so that text without credentials passes at the speed of a search:
`(?i)`, `\b` or `[\w-]*` at a pattern's head is 50 to 200 times slower in Python's re.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from agent.redact import forms, named
from agent.redact.forms import Find, by
from agent.redact.values import key_block, run, word


@dataclass(frozen=True, slots=True)
class Rule:
    """One form of credential."""

    kind: str
    """Its name in counts, metrics, and the policy file's `redact_off`."""
    anchors: tuple[re.Pattern[str], ...]
    find: Find
    takes: str
    leaves: str
    why: str
    folded: bool = False
    """The anchors are searched in the text in lower case."""
    by_line: bool = False
    """Lines that were found harmless are remembered: of the lines of objects most come again and again."""
    places: Callable[[str], Iterable[int]] | None = None
    """Where to look, when no literal can be the anchor."""


def _rule(kind: str, anchors: str, find: Find, takes: str, leaves: str, why: str, **how: Any) -> Rule:
    return Rule(kind, tuple(re.compile(anchor) for anchor in anchors.split()), find, takes, leaves, why, **how)


# fmt: off
RULES = (
    _rule("named", r'k(?:en|ey|ie) cre[td] p(?:ass(?!e[ds]|in)|w[d:="\x20]) auth(?!en) sig(?:=|nature) identified',
          named.find, "the value of a name that promises one: password, token, API key, …",
          "the name; references, files, placeholders, plain words, what is masked", "env, ConfigMaps, arguments, logs",
          folded=True, by_line=True),
    _rule("url", "://", forms.url,
          "a URL's password; a token in its user's place", "scheme, user, host, path", "RFC 3986 §3.2.1"),
    _rule("webhook", "://", by(forms.WEBHOOK, run),
          "a webhook's path", "the service's host", "Slack, Discord, Teams, Telegram, …: who knows it may post"),
    _rule("dsn", r"@(?=(?:tcp|udp|unix)?\()", forms.dsn,
          "user:X@tcp(…)", "user and address", "Go's MySQL driver"),
    _rule("dsn", "thin:", by(r"""thin:[\w.-]+/"?([^\s"'@/]{1,256})"?@"""),
          "thin:user/X@…", "user and address", "Oracle's JDBC driver"),
    _rule("private-key", "-----BEGIN", by(forms.PRIVATE_KEY, key_block),
          "the lines of a private key", "BEGIN and END; certificates; the mere mention", "RFC 7468, OpenSSH, PGP"),
    _rule("encoded-file", "LS0tLS1CRUdJTi eyJ YXBpVmVyc2lvbjog", forms.encoded,
          "a private key, docker config or kubeconfig in base64", "certificates, other manifests", "data of Secrets"),
    _rule("jwt", "eyJ", by(forms.JWT, run),
          "JWT, JWE, detached JWS, and one that was cut", "other base64 of {\"", "RFC 7519, 7516"),
    _rule("token", "", by(forms.TOKEN, run),
          "ghp_, glpat-, AKIA, xoxb-, sk-, …", "UUIDs, digests, trace ids", "services document their tokens' prefixes",
          places=forms.tokens),
    _rule("password-hash", r"\$(?=[2a156y7s\d])", by(forms.HASH),
          "bcrypt, crypt(3), apr1, argon2, SCRAM", "the user", "it can be guessed at leisure"),
    _rule("bearer", "bearer\\x20", by(r"(?i:bearer)[ ]+((?=[\w.~+/=-]*\d)[\w.~+/=-]{16})", run),
          "Bearer X", "Bearer realm=…", "RFC 6750", folded=True),
    _rule("command-line", "curl m(?:ysql|ariadb) redis-cli sshpass", by(forms.COMMAND, word),
          "curl -u user:X, mysql -pX, redis-cli -a X, sshpass -p X", "-p, -u and -a of others", "their manuals"),
    _rule("secret-object", r'secret(?<=[\x20"]secret)(?![-\w./])', forms.secret_object,
          "a Secret's data and stringData", "its name and keys", "manifests in ConfigMaps and logs", folded=True),
    _rule("jwk", "kty", forms.jwk, "private members of a JSON Web Key", "public members", "RFC 7517, 7518"),
    _rule("pgpass", ":5432:", by(r':5432:[\w*.-]+:[\w.-]+:([^\s\\"]+)', word),
          "host:5432:database:user:X", "the other four", "PostgreSQL's password file"),
    _rule("repeated", "", lambda _text, _at: (),
          "a value that `named` took, again without its name", "short and plain ones", "retries in logs"),
)
# fmt: on

KINDS = (*dict.fromkeys(rule.kind for rule in RULES), "custom")
"""Those of the table, and `custom` for the policy file's own names and patterns."""
