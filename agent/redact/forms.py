"""Credentials that are known by their own form, whatever they are called."""

import base64
import re
from collections.abc import Iterator

import re2

from agent.redact.values import BREAK, NEAR, Ends, Find, Taken, harmless, run


def by(pattern: str, ends: Ends | None = None, *, near: int = 0) -> Find:
    """A form that is one regex, matched at the anchor, or anywhere `near` it. Its last group is taken, and what goes on
    behind it.
    """
    compiled = re.compile(pattern, re.VERBOSE | re.ASCII)

    def find(text: str, at: int) -> Iterator[Taken]:
        matches = compiled.finditer(text, max(0, at - near), at + near) if near else [compiled.match(text, at)]
        for match in matches:
            if match and not harmless(match[match.lastindex or 0]):
                start, end = match.span(match.lastindex or 0)
                yield Taken(start, max(end, ends(text, start)) if ends else end, ends)

    return find


def linear(pattern: str, ends: Ends | None = None) -> Find:
    """Each match of an expression of RE2's, which takes time in proportion to the text whatever it is.

    Raises:
        re2.error: it is none, or too large.
    """
    options = re2.Options()
    options.log_errors, options.max_mem = False, 1 << 20
    compiled = re2.compile(pattern, options)

    def find(text: str, _at: int) -> Iterator[Taken]:
        # Half of a surrogate pair, which JSON may hold, can't be encoded; a ? takes its place.
        for match in compiled.finditer(text.encode(errors="replace").decode()):
            start, end = match.span(match.lastindex or 0)
            if start < end:
                yield Taken(start, max(end, ends(text, start)) if ends else end, ends)

    return find


_EDGE = r"(?:(?<![\w-])|(?<=\\[nrt])|(?<=\\u00[0-9a-f]{2}))"  # the n of \n and the rest of \u003c are no part of a word
_SAME = r"(?:[^\n]|\n[ ]*(?:-[ ]|\")){0,200}?[\s\"']"  # one command, though its arguments be a list

# A password may have an @; and a / ? or # in it, which should have been encoded. A text may end within it.
URL = r"""://(?: [^\s/?#"'<>\\`@:\[]* : (?!\d*(?:[/?#\s]|\Z))
    (?: ((?:[^\s/?#"'<>\\`]|\\u0026){1,256})(?:@|\Z) | ((?:(?!://)[^\s"'<>\\`@]){1,256})@ )
    | ((?=[^\s@]{0,255}\d)[^\s/?#"'<>\\`@]{20,256})@ )"""
WEBHOOK = r"""://(?: hooks\.slack\.com/(?:services|workflows|triggers)/ | [\w.-]*mattermost[\w.-]*/hooks/
    | [\w.]*discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/ | api\.telegram\.org/(?:file/)?bot\d+:
    | [\w.-]+\.webhook\.office\.com/webhookb2/ | outlook\.office(?:365)?\.com/webhook/
    | events\.pagerduty\.com/integration/ | hooks\.zapier\.com/hooks/catch/\d+/
    | maker\.ifttt\.com/trigger/\w+/with/key/ | open\.feishu\.cn/open-apis/bot/v\d/hook/ )([\w/@%-]{8,}+)"""
DSN = (
    r"""[\s"'=:(][\w.%+-]+:([^\s"'<>@/(]{1,256})(?=@(?:tcp|udp|unix)?\() | (?i:thin):[\w.-]+/"?([^\s"'@/]{1,256})"?@"""
)
PRIVATE_KEY = rf"""-----BEGIN[ ][A-Z0-9 ]*PRIVATE[ ]KEY(?:[ ]BLOCK)?-----
    {BREAK}((?:Proc-Type|Version|Comment):|[A-Za-z0-9+/=]{{16}})"""
JWT = rf"""{_EDGE}(?: eyJ[\w-]{{6,}}+\.(?:eyJ|\.|[\w-]{{10}})[\w-]*+
    | eyJ(?:hbGci|0eXAi|raWQi|lbmMi|4NXQ|jdHki)[\w-]{{16,}}+ )"""
JWK = r"""["'](?:d|p|q|dp|dq|qi|k)\\*["'][ ]*:\s*\\*["']([\w+/=-]{20,}+)"""
HASH = r"""(\$(?:2[abxy]|apr1|[156y7]|sha1|argon2\w{1,2}|scrypt)\$[\w./$=,+-]{20,}+)
    | (?i:sha-256)(\$\d+:[\w+/=$:]{40,}+)"""
COMMAND = rf"""curl{_SAME}-(?:u|-user)[\s"',=-]*+[^\s:"'\\]*:([^\s"'\\]+)
    | (?:mysql|mariadb){_SAME}-p([^\s"'\\,]+) | (?:redis-cli|sshpass){_SAME}-[ap][\s"',-]++([^\s"'\\]+)"""
TOKENS = re.sub(
    r"\s+",
    "",
    r"""(?:^|[^A-Za-z0-9]|\\[nrt]|\\u00[0-9a-f]{2})(
    gh[pousr]_\w{20} | github_pat_\w{20} | gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|oas|ffct)-[\w-]{15}
    | A(?:KI|BI|CC)A[A-Z2-7]{16}\b | ASIA[A-Z]{0,15}[2-7][A-Z2-7]{0,15}\b | npm_\w{30} | [srp]k_(?:live|test)_\w{10}
    | sk-[\w-]{20} | xox[a-z]-[\w-]{10} | xapp-[\w-]{10} | AIza[\w-]{30} | ya29\.[\w-]{20} | GOCSPX-[\w-]{20}
    | hf_[A-Za-z]{30} | pypi-[\w-]{40} | SG\.[\w-]{16,99}\.[\w-]{16} | hv[sbr]\.[\w-]{20} | do[opr]_v1_[0-9a-f]{40}
    | dapi[0-9a-f]{32} | shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32} | lin_(?:api|oauth)_\w{30} | sha256~[\w-]{40}
    | gl[cs]a?_[\w+/=]{30} | whsec_[\w+/=]{20} | AGE-SECRET-KEY-1\w{40} | ATATT3[\w=-]{50} | ATBB\w{28}
    | NRAK-[A-Z0-9]{27} | dckr_(?:pat|oat)_[\w-]{20} | pul-[0-9a-f]{40} | PMAK-[0-9a-f]{24}- | key-[0-9a-f]{32}\b
    | EAA[A-Za-z0-9]{60} | r8_\w{30} | gsk_\w{40} | xai-\w{60} | \w{14}\.atlasv1\.[\w-]{40} | tskey-\w+-[\w-]{15}
    | dt0[a-z]\d\d\.[A-Z0-9]{20,99}\. | sq0(?:atp|csp)-[\w-]{20} | nvapi-[\w-]{50} | sbp_[0-9a-f]{40} | figd_[\w-]{36}
    | rubygems_[0-9a-f]{40})""",
)

_BASE64 = re.compile(_EDGE + r"(?!eyJ(?!hdXRocyI6))(?>(?:[A-Za-z0-9+/]{4})*)")
_ENCODED = re.compile(r"PRIVATE KEY-----|kind: Config\b|\"auths\"|client-key-data")


def encoded(text: str, at: int) -> Iterator[Taken]:
    """A key, a docker config or a kubeconfig in base64. Certificates begin alike, so it is decoded."""
    whole = _BASE64.match(text, at, at + 64 * 1024)
    if whole and _ENCODED.search(base64.b64decode(whole[0]).decode("ascii", "replace")):
        yield Taken(at, run(text, at), run)


_KIND = re.compile(r"""kind\\*["']?[ ]*:[ ]*\\*["']?\Z""")
_DATA = re.compile(r"""ata(?:(?<=\bdata)|(?<=\\ndata)|(?<=stringData))\\*["']?:""")
_MEMBER = re.compile(
    r"""[\s,{]*(?>(?:\\n[ ]*)?)\\*["']?(?!kind|metadata|type|immutable|data|stringData)[\w.-]+\\*["']?[ ]*:
    [ ]*(?:\\*"([^"\\]+)\\*"|'?([^\s"'\\,{}]+)'?)""",
    re.VERBOSE | re.ASCII,
)
_OTHER_OBJECT = re.compile(r"""\n---|\n[ ]*-[ ]|\}\s*,\s*\{|kind\\*["']?:""")


def secret_object(text: str, at: int) -> Iterator[Taken]:
    """All data of a Secret's manifest, as JSON or YAML. `at` is the word Secret behind `kind`."""
    kind = _KIND.search(text, max(0, at - 16), at)
    if not kind or text[at + 6 : at + 7].isalnum():
        return
    for data in _DATA.finditer(text, max(0, at - 2 * NEAR), at + 2 * NEAR):
        end, found = data.end(), []
        while member := _MEMBER.match(text, end):
            end = member.end()
            if not harmless(member[member.lastindex or 0]):
                found.append(Taken(*member.span(member.lastindex or 0)))
        between = text[end : kind.start()] if end < at else text[at : data.start()]
        if not _OTHER_OBJECT.search(between) and (end < at or "metadata" in between):
            yield from found
