"""Verbs and flags that run. What isn't here is refused.

Adding a flag is one line: its name as kubectl spells it, its type, what its value may be, its short name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.guard import output
from agent.guard.hints import DEBUG, NO_FOLLOW, NO_WATCH
from agent.guard.operands import FIELD, LOG, NOTHING, ONE_NAME, QUESTION, RESOURCES, SUBCOMMAND, Operands
from agent.guard.values import FlagType, ValueRule, age, anything, matching, number, only, patience, timeout, words

BOOL, INT, DURATION, TEXT, LIST = FlagType.BOOL, FlagType.INT, FlagType.DURATION, FlagType.TEXT, FlagType.LIST
ANY = anything()


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of one verb."""

    name: str
    type: FlagType
    rule: ValueRule = ANY
    short: str = ""


def switches(*names: str) -> tuple[Flag, ...]:
    """Flags that take no value and may stand."""
    return tuple(Flag(name, BOOL) for name in names)


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb, with its subcommand if it has one."""

    name: str
    operands: Operands
    flags: tuple[Flag, ...] = ()
    reads: tuple[str, ...] = ()  # types that it reads, whatever its operands
    namespaced: bool = False  # whether `-n` makes a difference to what it reads
    always: tuple[tuple[str, str], ...] = ()  # flags that it never runs without, whatever was asked
    unless_asked: tuple[tuple[str, str], ...] = ()
    """Flags that it gets if they weren't asked for. (kubectl waits 20 s, on a watch, for the pods of a workload.)"""


_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?"
_WORD = r"[A-Za-z0-9*][A-Za-z0-9-]*"

NAMESPACE = matching(_LABEL, "the name of one namespace (small letters, digits and -)", "; -A reads all")
SELECTOR = matching(r"[A-Za-z0-9._/=!,()<> -]*", "a label selector, as in app=web,tier!=db")
KEYS = matching(rf"{_KEY}(?:,{_KEY}){{0,31}}", "label names with commas, as in app,tier")
CONTAINER = matching(_LABEL, "a container's name")
GROUP = matching(r"(?:[a-z0-9][a-z0-9.-]*)?", "an API group, as in apps")
VERSION = matching(r"[a-z0-9][a-z0-9.-]*(?:/[a-z0-9]+)?", "a version such as apps/v1")
WORD_LIST = matching(rf"{_WORD}(?:,{_WORD})*", "words with commas, as in get,list")
EVENT_TYPES = matching(r"(?i:normal|warning)(?:,(?i:normal|warning))*", "Normal, Warning or both with a comma")
PATH = ValueRule("a jsonpath, as in .metadata.name", output.jsonpath_complaint)
_RFC_3339 = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)"
MOMENT = matching(_RFC_3339, "a time such as 2026-01-31T12:00:00Z")
_RAW = re.compile(
    r"/(?:livez|readyz|healthz)(?:/[a-z0-9-]+)*(?:\?verbose)?|/version|/apis"
    r"|/\.well-known/openid-configuration"
    r"|/apis/(?:(?:custom|external)\.)?metrics\.k8s\.io(?:/(?!\.+(?:/|$)|proxy(?:/|$))[A-Za-z0-9._:*-]+)*/?"
)
_RAW_ONLY = "only health and metrics are read by path; use get TYPE NAME -o json"
RAW_PATHS = ValueRule(
    "/livez, /readyz, /healthz (also /CHECK and ?verbose), /version, /apis, /.well-known/openid-configuration, "
    "or /apis/metrics.k8s.io/… (also custom. and external.)",
    lambda path: None if _RAW.fullmatch(path) else _RAW_ONLY,
)

ALL_NAMESPACES = Flag("all-namespaces", BOOL, short="A")
BY_LABEL = Flag("selector", TEXT, SELECTOR, short="l")
CHUNK_SIZE = Flag("chunk-size", INT, number(0))
NO_HEADERS = Flag("no-headers", BOOL)
REVISION = Flag("revision", INT, number(0))
OUTPUT = Flag("output", TEXT, output.OUTPUTS, short="o")
OBJECT_OUTPUT = Flag("output", TEXT, words("json", "yaml", "kyaml"), short="o")
BY_FIELD = Flag("field-selector", TEXT)
WATCH = Flag("watch", BOOL, only("false", NO_WATCH), short="w")
TEMPLATE = Flag("template", TEXT)  # becomes -o go-template=…, which is checked

GLOBAL = (
    Flag("namespace", TEXT, NAMESPACE, short="n"),
    Flag("help", BOOL, short="h"),
    Flag("request-timeout", TEXT, timeout(300)),
    Flag("v", TEXT, only("0", DEBUG)),  # every line that the guard writes has it, and may be asked for as written
)

VERBS: tuple[Verb, ...] = (
    Verb("get", RESOURCES, namespaced=True, flags=(
        ALL_NAMESPACES, BY_LABEL, OUTPUT, TEMPLATE, CHUNK_SIZE, NO_HEADERS,
        Flag("label-columns", LIST, KEYS, short="L"),
        BY_FIELD,
        Flag("sort-by", TEXT, PATH),
        *switches("show-labels", "show-kind", "show-managed-fields"),
        *switches("ignore-not-found", "allow-missing-template-keys", "server-print"),
        Flag("subresource", TEXT, words("status", "scale", "resize")),
        WATCH,
        Flag("raw", TEXT, RAW_PATHS),
    )),
    Verb("describe", RESOURCES, namespaced=True, flags=(
        ALL_NAMESPACES, BY_LABEL, CHUNK_SIZE, *switches("show-events"),
    )),
    Verb("logs", LOG, namespaced=True, unless_asked=(("pod-running-timeout", "1s"),), flags=(
        BY_LABEL,
        Flag("container", TEXT, CONTAINER, short="c"),
        Flag("previous", BOOL, short="p"),
        *switches("all-containers", "all-pods", "prefix", "timestamps", "ignore-errors"),
        Flag("tail", INT, number(-1)),
        Flag("since", DURATION, age()),
        Flag("since-time", TEXT, MOMENT),
        Flag("limit-bytes", INT, number(0)),
        Flag("max-log-requests", INT, number(1, 50)),
        Flag("pod-running-timeout", DURATION, patience("30s")),
        Flag("follow", BOOL, only("false", NO_FOLLOW), short="f"),
    )),
    Verb("top pod", ONE_NAME, reads=("pods", "podmetrics"), namespaced=True, flags=(
        ALL_NAMESPACES, BY_LABEL, NO_HEADERS, *switches("containers", "sum"), BY_FIELD,
        Flag("sort-by", TEXT, words("cpu", "memory")),
        *switches("show-swap", "use-protocol-buffers"),
    )),
    Verb("top node", ONE_NAME, reads=("nodes", "nodemetrics"), flags=(
        BY_LABEL, NO_HEADERS,
        Flag("sort-by", TEXT, words("cpu", "memory")),
        *switches("show-capacity", "show-swap", "use-protocol-buffers"),
    )),
    Verb("events", NOTHING, reads=("events",), namespaced=True, flags=(
        ALL_NAMESPACES, CHUNK_SIZE, NO_HEADERS, OUTPUT, TEMPLATE,
        Flag("for", TEXT),  # TYPE/NAME, which is checked like an operand
        Flag("types", LIST, EVENT_TYPES),
        WATCH,
    )),
    Verb("api-resources", NOTHING, flags=(
        NO_HEADERS,
        Flag("api-group", TEXT, GROUP),
        Flag("cached", BOOL),
        Flag("categories", LIST, WORD_LIST),
        Flag("namespaced", BOOL),
        Flag("output", TEXT, words("wide", "name", "json", "yaml", "kyaml"), short="o"),
        Flag("show-managed-fields", BOOL),
        Flag("sort-by", TEXT, words("name", "kind")),
        Flag("verbs", LIST, WORD_LIST),
    )),
    Verb("api-versions", NOTHING),
    Verb("explain", FIELD, flags=(
        Flag("api-version", TEXT, VERSION),
        Flag("max-depth", INT, number(0)),
        Flag("output", TEXT, words("plaintext", "plaintext-openapiv2"), short="o"),
        Flag("recursive", BOOL, short="R"),
    )),
    Verb("version", NOTHING, flags=(
        Flag("client", BOOL),
        Flag("output", TEXT, words("json", "yaml"), short="o"),
        Flag("short", BOOL),
    )),
    Verb("auth can-i", QUESTION, namespaced=True, flags=(
        ALL_NAMESPACES, NO_HEADERS, *switches("list"),
        Flag("quiet", BOOL, short="q"),
        Flag("subresource", TEXT, matching(rf"{_WORD}(?:/{_WORD})*", "a subresource, as in log")),
    )),
    Verb("auth whoami", NOTHING, flags=(OBJECT_OUTPUT,)),
    Verb("rollout history", RESOURCES, namespaced=True, flags=(BY_LABEL, REVISION, OBJECT_OUTPUT)),
    Verb("rollout status", RESOURCES, namespaced=True, always=(("watch", "false"), ("timeout", "10s")), flags=(
        BY_LABEL, REVISION, WATCH,
        Flag("timeout", DURATION, patience("168h")),  # may be asked for; what is written is always 10s
    )),
    Verb("cluster-info", NOTHING, reads=("services",)),
    # These need a subcommand; alone they only know -h.
    Verb("top", SUBCOMMAND),
    Verb("auth", SUBCOMMAND),
    Verb("rollout", SUBCOMMAND),
)  # fmt: skip

WHOLE_VERBS = tuple(verb for verb in VERBS if verb.operands is not SUBCOMMAND)
"""Those that do something, with their subcommand."""

SUBCOMMAND_ALIASES: Mapping[str, str] = {
    "top pods": "top pod", "top po": "top pod", "top nodes": "top node", "top no": "top node",
}  # fmt: skip

AGENTS_OWN = frozenset({"v", "help", "watch", "follow", "timeout"})
"""Flags that are in the tables only so that the agent's own line, or a harmless `--watch=false`, may have them."""
