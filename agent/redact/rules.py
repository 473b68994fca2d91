r"""The rules, as a table: what is taken, what is left, and why. A reviewer need read no more than this.

An anchor is a word, in any case, that stands in every credential of that form or beside it. All anchors are looked for
at once, in time proportional to the text; only where one is found does its rule look closer.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import re2

from agent.errors import PolicyError
from agent.redact import named
from agent.redact.values import BREAK, Ends, Find, Taken, harmless, key_lines, run, word


def at_anchor(pattern: str, ends: Ends) -> Find:
    """A form that is one regex, matched where its anchor begins. Its last group is taken, and what `ends` adds."""
    compiled = re.compile(pattern, re.VERBOSE | re.ASCII)

    def find(text: str, at: int) -> Iterator[Taken]:
        match = compiled.match(text, at)
        if match and not harmless(match[match.lastindex or 0]):
            start, end = match.span(match.lastindex or 0)
            yield Taken(start, max(end, ends(text, start)), ends)

    return find


def anywhere(pattern: str, ends: Ends | None = None, *, mebibytes: int = 1) -> Find:
    """Each match of an expression of RE2's, in time proportional to the text. Raises re2.error if it is none."""
    options = re2.Options()
    options.log_errors, options.max_mem = False, mebibytes << 20
    compiled = re2.compile(pattern, options)

    def find(text: str, _at: int) -> Iterator[Taken]:
        until = 0
        # Half of a surrogate pair, which JSON may hold, can't be encoded; a ? takes its place.
        for match in compiled.finditer(text.encode(errors="replace").decode()):
            start, end = match.span(match.lastindex or 0)
            if until <= start < end:
                until = max(end, ends(text, start)) if ends else end
                yield Taken(start, until, ends)

    return find


# A password may have an @; and a / ? or # in it, which should have been encoded. A text may end within it. And the
# webhooks of Slack, Discord, Telegram, Teams, PagerDuty, Zapier: who knows one may post.
URL = r"""://(?: [^\s/?#"'<>\\`@:\[]* : (?!\d*(?:[/?#\s]|\Z))
    (?: ((?:[^\s/?#"'<>\\`]|\\u0026){1,256})(?:@|\Z) | ((?:(?!://)[^\s"'<>\\`@]){1,256})@ )
    | ((?=[^\s@]{0,255}\d)[^\s/?#"'<>\\`@]{20,256})@
    | (?: hooks\.slack\.com/(?:services|workflows|triggers)/ | [\w.]*discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/
    | api\.telegram\.org/(?:file/)?bot\d+: | [\w.-]+\.webhook\.office\.com/webhookb2/
    | outlook\.office(?:365)?\.com/webhook/ | events\.pagerduty\.com/integration/
    | hooks\.zapier\.com/hooks/catch/\d+/ )([\w/@%-]{8,}+) )"""
PRIVATE_KEY = rf"""-----BEGIN[ ][A-Z0-9 ]*PRIVATE[ ]KEY(?:[ ]BLOCK)?-----
    {BREAK}((?:Proc-Type|Version|Comment):|[A-Za-z0-9+/=]{{16}})"""
_SAME = r"(?:[^\n]|\n[ ]*(?:-[ ]|\")){0,200}?[\s\"']"  # one command, though its arguments be a list
COMMAND = rf"""curl{_SAME}-(?:u|-user)[\s"',=-]*+[^\s:"'\\]*:([^\s"'\\]+)
    | (?:mysql|mariadb){_SAME}-p([^\s"'\\,]+) | (?:redis-cli|sshpass){_SAME}-[ap][\s"',-]++([^\s"'\\]+)"""
# Tokens; JWT, JWE, detached JWS, one that was cut; password hashes; in base64 a private key (certificates begin
# otherwise), a kubeconfig, a docker config. By what is beside them: DSNs of Go's MySQL driver and of Oracle's for JDBC,
# a line of .pgpass, the private members of a JSON Web Key.
TOKENS = r"""(?:^|[^A-Za-z0-9]|\\[nrt]|\\u00[0-9a-f]{2})(
    gh[pousr]_\w{20} | github_pat_\w{20} | gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|oas|ffct)-[\w-]{15}
    | A(?:KI|BI|CC)A[A-Z2-7]{16}\b | ASIA[A-Z]{0,15}[2-7][A-Z2-7]{0,15}\b | npm_\w{30} | [srp]k_(?:live|test)_\w{10}
    | sk-[\w-]{20} | xox[a-z]-[\w-]{10} | xapp-[\w-]{10} | AIza[\w-]{30} | ya29\.[\w-]{20} | GOCSPX-[\w-]{20}
    | hf_[A-Za-z]{30} | pypi-[\w-]{40} | SG\.[\w-]{16,99}\.[\w-]{16} | hv[sbr]\.[\w-]{20} | do[opr]_v1_[0-9a-f]{40}
    | dapi[0-9a-f]{32} | shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32} | lin_(?:api|oauth)_\w{30} | sha256~[\w-]{40}
    | gl[cs]a?_[\w+/=]{30} | whsec_[\w+/=]{20} | AGE-SECRET-KEY-1\w{40} | ATATT3[\w=-]{50} | ATBB\w{28}
    | NRAK-[A-Z0-9]{27} | dckr_(?:pat|oat)_[\w-]{20} | pul-[0-9a-f]{40} | PMAK-[0-9a-f]{24}- | key-[0-9a-f]{32}\b
    | EAA[A-Za-z0-9]{60} | r8_\w{30} | gsk_\w{40} | xai-\w{60} | \w{14}\.atlasv1\.[\w-]{40} | tskey-\w+-[\w-]{15}
    | dt0[a-z]\d\d\.[A-Z0-9]{20,99}\. | sq0(?:atp|csp)-[\w-]{20} | nvapi-[\w-]{50} | sbp_[0-9a-f]{40} | figd_[\w-]{36}
    | rubygems_[0-9a-f]{40} | eyJ[\w-]{6,64}\.(?:eyJ|\.|[\w-]{10}) | eyJ(?:hbGci|0eXAi|raWQi|lbmMi|4NXQ|jdHki)[\w-]{16}
    | \$(?:2[abxy]|apr1|[156y7]|sha1|argon2\w{1,2}|scrypt)\$[\w./$=,+-]{20,} | SCRAM-SHA-256\$\d+:[\w+/=$:]{40,}
    | LS0tLS1CRUdJTiB(?:SU0EgUFJJV|QUklWQVRF|FQyBQUklW|EU0EgUFJJV|PUEVOU1NIIFBS|FTkNSWVBURUQg|QR1AgUFJJV)
    | YXBpVmVyc2lvbjogdjEK(?:Y2x1c3RlcnM6|Y3VycmVudC1j|cHJlZmVyZW5j|a2luZDogQ29uZmlnC)
    | eyJhdXRocyI6 | ewo(?:JImF1dGhz|gICJhdXRocyI|gICAgImF1dGhz)
    ) | [\s"'=:(][\w.%+-]+:([^\s"'<>@/(]+)@(?:tcp|udp|unix)\( | thin:[\w.-]+/"?([^\s"'@/]+)"?@
    | :5432:[\w*.-]+:[\w.-]+:([^\s\\"]+) | ["'](?:d|[dp]?[pq]|qi|k)\\*["']:\s?\\*["']([\w+/=-]{40})"""


class Rule(NamedTuple):
    """One form of credential."""

    kind: str  # its name in counts, metrics, and the policy file's `redact_off`
    anchors: tuple[str, ...]  # words in small letters; none if it looks for itself
    find: Find
    takes: str
    leaves: str = ""
    why: str = "the policy file"


# fmt: off
RULES = (
    Rule("named", ("key", "token", "cookie", "cred", "secret", "pass", "pw", "auth", "sig=", "signature", "identified"),
         named.find, "the value of a name that promises one: password, token, API key, …",
         "the name; references, files, placeholders, plain words, what is masked",
         "env, ConfigMaps, annotations, arguments and logs name what they hold"),
    Rule("url", ("://",), at_anchor(URL, run),
         "a URL's password; a token in its user's place; a webhook's path", "scheme, user, host, path",
         "RFC 3986 §3.2.1; who knows a webhook may post (the services' manuals)"),
    Rule("private-key", ("-----begin",), at_anchor(PRIVATE_KEY, key_lines),
         "the lines of a private key", "BEGIN and END; certificates; the mere mention",
         "RFC 7468, OpenSSH's PROTOCOL.key, RFC 9580 (PGP)"),
    Rule("token", (), anywhere(re.sub(r"\s+", "", TOKENS), run, mebibytes=4),
         "ghp_, glpat-, AKIA, sk-, …; JWT; bcrypt, argon2, …; user:X@tcp(…); keys and kubeconfigs in base64",
         "UUIDs, digests, trace ids, certificates, other base64 of {\"",
         "services document their prefixes; RFC 7515 to 7519; crypt(5): a hash can be guessed at leisure"),
    Rule("command-line", ("curl", "mysql", "mariadb", "redis-cli", "sshpass"), at_anchor(COMMAND, word),
         "curl -u user:X, mysql -pX, redis-cli -a X, sshpass -p X", "-p, -u and -a of others",
         "the manuals of these programs"),
)
# fmt: on

KINDS = (*(rule.kind for rule in RULES), "custom")  # `custom`: the policy file's own names and patterns


@dataclass(frozen=True, slots=True)
class Redaction:
    """What the policy file says: which rules are at work, and the kinds of those that are not."""

    on: bool = True
    off: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = RULES


DEFAULT = Redaction()
REDACT_KEYS = ("redact", "redact_off", "redact_patterns", "redact_keys")  # of the policy file


def parse_redaction(values: Mapping[str, object]) -> Redaction:
    """From the policy file's keys, `REDACT_KEYS` alone. Raises PolicyError if a value can't be used."""
    on = values.get("redact", True)
    if not isinstance(on, bool):
        raise PolicyError("redact is true or false")
    off = _strings(values, "redact_off", len(KINDS))
    if unknown := [kind for kind in off if kind not in KINDS]:
        raise PolicyError(f"redact_off: there is no rule {unknown[0]!r}; there are {', '.join(KINDS)}")
    patterns = [_pattern_rule(pattern) for pattern in _strings(values, "redact_patterns", 32)]
    keys = [_key_rule(key) for key in _strings(values, "redact_keys", 64)]
    return Redaction(on, off, tuple(rule for rule in (*RULES, *patterns, *keys) if rule.kind not in off))


def _strings(values: Mapping[str, object], key: str, most: int) -> tuple[str, ...]:
    given = values.get(key, [])
    if not isinstance(given, list) or len(given) > most or not all(isinstance(e, str) and len(e) <= 200 for e in given):
        raise PolicyError(f"{key} is a list of at most {most} strings, none longer than 200 characters")
    return tuple(given)


def _key_rule(key: str) -> Rule:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{3,64}", key):
        raise PolicyError(f"redact_keys: {key!r} is not a name: 3 to 64 letters, digits, and any of _ . -")
    return Rule("custom", (key.lower(),), partial(named.find, own=key.lower()), f"the value of {key}")


def _pattern_rule(pattern: str) -> Rule:
    try:
        return Rule("custom", (), anywhere(pattern), f"what matches {pattern}")
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise PolicyError(f"redact_patterns: {pattern!r} is no regular expression of RE2's syntax ({why})") from error


@lru_cache(maxsize=8)
def _anchors(rules: tuple[Rule, ...]) -> tuple[Any, dict[bytes, tuple[Rule, ...]]]:
    words = sorted({anchor for rule in rules for anchor in rule.anchors}, key=len, reverse=True)
    rules_of = {word.encode(): tuple(rule for rule in rules if word.startswith(rule.anchors)) for word in words}
    return re2.compile("|".join(map(re2.escape, words)).encode() or b"a^"), rules_of


def places(rules: tuple[Rule, ...], text: str) -> Iterator[tuple[int, tuple[Rule, ...]]]:
    """Where which rules are to look closer. Anchors may overlap, and one may begin another."""
    yield 0, tuple(rule for rule in rules if not rule.anchors)
    anchors, rules_of = _anchors(rules)
    letters, at = text.encode("ascii", "replace").lower(), 0  # a byte for each character
    while found := anchors.search(letters, at):
        start, end = found.span()
        yield start, rules_of[letters[start:end]]
        at = start + 1
