r"""The rules, as a table: what is taken, what is left, and why. A reviewer need read no more than this.

An anchor is a word, in any case, that stands in every credential of that form or beside it. All anchors are looked for
at once, in time proportional to the text; only where one is found does its rule look closer.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import re2

from agent.redact import forms, named
from agent.redact.forms import by
from agent.redact.values import NEAR, Find, key_lines, run, word

Places = Callable[[str], Iterator[tuple[int, tuple["Rule", ...]]]]
"""Where in a text which rules are to look closer."""


class Rule(NamedTuple):
    """One form of credential."""

    kind: str  # its name in counts, metrics, and the policy file's `redact_off`
    anchors: str  # words in small letters; none if it looks for itself
    find: Find
    takes: str
    leaves: str
    why: str


_NAMES = "key token cookie cred secret pass pw auth sig= signature identified kennwort"
_HASHES = "$1$ $2a$ $2b$ $2x$ $2y$ $5$ $6$ $7$ $y$ $apr1$ $sha1$ $argon2 $scrypt$ sha-256$"

# fmt: off
RULES = (
    Rule("named", _NAMES, named.find,
         "the value of a name that promises one: password, token, API key, …",
         "the name; references, files, placeholders, plain words, what is masked", "env, ConfigMaps, arguments, logs"),
    Rule("url", "://", by(forms.URL),
         "a URL's password; a token in its user's place", "scheme, user, host, path", "RFC 3986 §3.2.1"),
    Rule("webhook", "://", by(forms.WEBHOOK, run),
         "a webhook's path", "the service's host", "Slack, Discord, Teams, Telegram, …: who knows it may post"),
    Rule("dsn", "@( @tcp( @udp( @unix( thin:", by(forms.DSN, near=320),
         "user:X@tcp(…), thin:user/X@…", "user and address", "Go's MySQL driver, Oracle's JDBC driver"),
    Rule("private-key", "-----begin", by(forms.PRIVATE_KEY, key_lines),
         "the lines of a private key", "BEGIN and END; certificates; the mere mention", "RFC 7468, OpenSSH, PGP"),
    Rule("encoded-file", "ls0tls1crudjti yxbpvmvyc2lvbjog eyj", forms.encoded,
         "a private key, kubeconfig or docker config in base64", "certificates, other files", "data of Secrets"),
    Rule("jwt", "eyj", by(forms.JWT, run),
         "JWT, JWE, detached JWS, and one that was cut", "other base64 of {\"", "RFC 7519, 7516"),
    Rule("token", "", forms.linear(forms.TOKENS, run),
         "ghp_, glpat-, AKIA, xoxb-, sk-, …", "UUIDs, digests, trace ids", "services document their tokens' prefixes"),
    Rule("password-hash", _HASHES, by(forms.HASH),
         "bcrypt, crypt(3), apr1, argon2, SCRAM", "the user", "it can be guessed at leisure"),
    Rule("bearer", "bearer", by(r"(?i:bearer)[ ]+((?=[\w.~+/=-]*\d)[\w.~+/=-]{16})", run),
         "Bearer X", "Bearer realm=…", "RFC 6750"),
    Rule("command-line", "curl mysql mariadb redis-cli sshpass", by(forms.COMMAND, word),
         "curl -u user:X, mysql -pX, redis-cli -a X, sshpass -p X", "-p, -u and -a of others", "their manuals"),
    Rule("secret-object", "secret", forms.secret_object,
         "a Secret's data and stringData", "its name and keys", "manifests in ConfigMaps and logs"),
    Rule("jwk", "kty", by(forms.JWK, run, near=NEAR),
         "private members of a JSON Web Key", "public members", "RFC 7517, 7518"),
    Rule("pgpass", ":5432:", by(r':5432:[\w*.-]+:[\w.-]+:([^\s\\"]+)', word),
         "host:5432:database:user:X", "the other four", "PostgreSQL's password file"),
)
# fmt: on

KINDS = (*dict.fromkeys(rule.kind for rule in RULES), "custom")
"""Those of the table, and `custom` for the policy file's own names and patterns."""


@lru_cache(maxsize=8)
def search(rules: tuple[Rule, ...]) -> Places:
    """Where the anchors of these rules stand. Anchors may overlap, and one may begin another."""
    words = sorted({anchor for rule in rules for anchor in rule.anchors.split()}, key=len, reverse=True)
    rules_of = {
        word.encode(): tuple(rule for rule in rules if any(word.startswith(anchor) for anchor in rule.anchors.split()))
        for word in words
    }
    everywhere = tuple(rule for rule in rules if not rule.anchors)
    anchors = re2.compile("|".join(map(re2.escape, words)).encode() or b"a^")

    def places(text: str) -> Iterator[tuple[int, tuple[Rule, ...]]]:
        yield 0, everywhere
        letters, at = text.encode("ascii", "replace").lower(), 0  # a byte for each character
        while found := anchors.search(letters, at):
            start, end = found.span()
            yield start, rules_of[letters[start:end]]
            at = start + 1

    return places
