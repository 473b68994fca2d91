"""Verbs and flags that run. What isn't here is refused.

Adding a flag is a word in its verb's list: its short name if it has one, its name as kubectl spells it, and the words
that it takes, if those are few. Else `_RULES` has what its value may be; a flag that isn't there is a switch.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.guard.formats import OUTPUT, jsonpath_complaint
from agent.guard.operands import FIELD, LOG, NOTHING, ONE_NAME, QUESTION, RESOURCES, Flags, Operands
from agent.guard.refused import NEVER
from agent.guard.values import FlagType, ValueRule, lasting, matching

BOOL, INT, DURATION, TEXT, LIST = FlagType


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of one verb."""

    name: str
    rule: ValueRule
    short: str = ""


_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?"
_WORD = r"[A-Za-z0-9*][A-Za-z0-9-]*"
_RFC_3339 = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)"

_ONE_NAMESPACE = "the name of one namespace (small letters, digits and -)"
NAMESPACE = matching(TEXT, _LABEL, _ONE_NAMESPACE, f"expected {_ONE_NAMESPACE}; -A reads all")
RAW_PATHS = matching(
    TEXT,
    r"/(?:livez|readyz|healthz)(?:/[a-z0-9-]+)*(?:\?verbose)?|/version|/apis"
    r"|/\.well-known/openid-configuration"
    r"|/apis/(?:(?:custom|external)\.)?metrics\.k8s\.io(?:/(?!\.+(?:/|$)|proxy(?:/|$))[A-Za-z0-9._:*-]+)*/?",
    "/livez, /readyz, /healthz (also /CHECK and ?verbose), /version, /apis, /.well-known/openid-configuration, "
    "or /apis/metrics.k8s.io/… (also custom. and external.)",
    "only health and metrics are read by path; use get TYPE NAME -o json",
)
_RULES: Mapping[str, ValueRule] = {
    # --template becomes -o go-template=…, which is checked; and --for is checked like an operand.
    **dict.fromkeys(("field-selector", "template", "for"), ValueRule(TEXT, "text")),
    **dict.fromkeys(
        ("chunk-size", "limit-bytes", "max-depth", "revision"), matching(INT, r"\d+", "a number from 0 up")
    ),
    **dict.fromkeys(
        ("categories", "verbs"), matching(LIST, rf"{_WORD}(?:,{_WORD})*", "words with commas, as in get,list")
    ),
    "namespace": NAMESPACE,
    "request-timeout": lasting(TEXT, "300s"),
    "v": matching(TEXT, "0", "only 0", NEVER["v"]),
    "selector": matching(TEXT, r"[A-Za-z0-9._/=!,()<> -]*", "a label selector, as in app=web,tier!=db"),
    "output": OUTPUT,
    "label-columns": matching(LIST, rf"{_KEY}(?:,{_KEY}){{0,31}}", "label names with commas, as in app,tier"),
    "sort-by": ValueRule(TEXT, "a jsonpath, as in .metadata.name", jsonpath_complaint),
    "raw": RAW_PATHS,
    "watch": matching(BOOL, "false", "only false", NEVER["watch"]),
    "follow": matching(BOOL, "false", "only false", NEVER["follow"]),
    "container": matching(TEXT, _LABEL, "a container's name"),
    "tail": matching(INT, r"-1|\d+", "a number from -1 up"),
    "since": matching(DURATION, "[^-].*|-[^1-9]*", "a duration such as 30s or 1h30m, from 0 up"),
    "since-time": matching(TEXT, _RFC_3339, "a time such as 2026-01-31T12:00:00Z"),
    "max-log-requests": matching(INT, "[1-9]|[1-4][0-9]|50", "a number from 1 to 50"),
    "pod-running-timeout": lasting(DURATION, "30s"),
    "timeout": lasting(DURATION, "168h"),  # may be asked for; what is written is always 10s
    "types": matching(LIST, r"(?i:normal|warning)(?:,(?i:normal|warning))*", "Normal, Warning or both with a comma"),
    "api-group": matching(TEXT, r"(?:[a-z0-9][a-z0-9.-]*)?", "an API group, as in apps"),
    "api-version": matching(TEXT, r"[a-z0-9][a-z0-9.-]*(?:/[a-z0-9]+)?", "a version such as apps/v1"),
    "subresource": matching(TEXT, rf"{_WORD}(?:/{_WORD})*", "a subresource, as in log"),
}


def _flags(text: str) -> Mapping[str, Flag]:
    flags = {}
    for short, name, words in re.findall(r"(?:-(\w) )?([a-z][a-z-]*)(?:=(\S+))?", text):
        says = " or ".join(words.replace("|", ", ").rsplit(", ", 1))
        flags[name] = Flag(name, matching(TEXT, words, says) if words else _RULES.get(name, ValueRule(BOOL)), short)
    return flags


GLOBAL = _flags("-n namespace -h help request-timeout v")
"""--v=0 is in every line that the guard writes, and such a line may be asked for again."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb, with its subcommand if it has one."""

    name: str
    operands: Operands
    flags: Mapping[str, Flag]
    reads: tuple[str, ...] = ()  # types that it reads, whatever its operands
    namespaced: bool = False  # whether `-n` makes a difference to what it reads
    always: Flags = field(default_factory=dict)  # what it never runs without, whatever was asked
    unless_asked: Flags = field(default_factory=dict)


def _verb(name: str, operands: Operands, flags: str = "", **more: Any) -> Verb:
    return Verb(name, operands, {**GLOBAL, **_flags(flags)}, **more)


_VERBS = (
    _verb("get", RESOURCES,
          "-A all-namespaces -l selector -o output template chunk-size no-headers -L label-columns field-selector "
          "sort-by show-labels show-kind show-managed-fields ignore-not-found allow-missing-template-keys server-print "
          "subresource=status|scale|resize -w watch raw", namespaced=True),
    _verb("describe", RESOURCES, "-A all-namespaces -l selector chunk-size show-events", namespaced=True),
    # By itself kubectl waits 20 s, on a watch, for the pods of a workload.
    _verb("logs", LOG,
          "-l selector -c container -p previous all-containers all-pods prefix timestamps ignore-errors tail since "
          "since-time limit-bytes max-log-requests pod-running-timeout -f follow",
          namespaced=True, unless_asked={"pod-running-timeout": ["1s"]}),
    _verb("top pod", ONE_NAME,
          "-A all-namespaces -l selector no-headers containers sum field-selector sort-by=cpu|memory show-swap "
          "use-protocol-buffers", namespaced=True, reads=("pods", "podmetrics")),
    _verb("top node", ONE_NAME, "-l selector no-headers sort-by=cpu|memory show-capacity show-swap "
          "use-protocol-buffers", reads=("nodes", "nodemetrics")),
    _verb("events", NOTHING, "-A all-namespaces chunk-size no-headers -o output template for types -w watch",
          namespaced=True, reads=("events",)),
    _verb("api-resources", NOTHING,
          "no-headers api-group cached categories namespaced -o output=wide|name|json|yaml|kyaml show-managed-fields "
          "sort-by=name|kind verbs"),
    _verb("api-versions", NOTHING),
    _verb("explain", FIELD, "api-version max-depth -o output=plaintext|plaintext-openapiv2 -R recursive"),
    _verb("version", NOTHING, "client -o output=json|yaml short"),
    _verb("auth can-i", QUESTION, "-A all-namespaces no-headers list -q quiet subresource", namespaced=True),
    _verb("auth whoami", NOTHING, "-o output=json|yaml|kyaml"),
    _verb("rollout history", RESOURCES, "-l selector revision -o output=json|yaml|kyaml", namespaced=True),
    _verb("rollout status", RESOURCES, "-l selector revision -w watch timeout",
          namespaced=True, always={"watch": ["false"], "timeout": ["10s"]}),
    _verb("cluster-info", NOTHING, reads=("services",)),
)  # fmt: skip
VERBS: Mapping[str, Verb] = {verb.name: verb for verb in _VERBS}


def subcommands(group: str) -> list[str]:
    """The verbs that begin with this word, as "top pod" does with "top"; none for a verb that stands alone."""
    return [name for name in VERBS if name.startswith(f"{group} ")]


SUBCOMMAND_ALIASES = {"top pods": "top pod", "top po": "top pod", "top nodes": "top node", "top no": "top node"}

AGENTS_OWN = frozenset({"v", "help", "watch", "follow", "timeout"})
"""Flags that are in the tables only so that the agent's own line, or a harmless `--watch=false`, may have them."""
