"""What may stand on a command line beside flags: types, names, fields, questions."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.guard.refused import Refused, shown
from agent.guard.resources import TYPE, credentials

NAME = re.compile(r"[A-Za-z0-9_~][A-Za-z0-9._:@~+-]{0,252}")
"""Every name that Kubernetes gives (`system:node:n1` is one; `~` is OpenShift's for oneself), and none that could be
a path, a flag or an escape."""

_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9._$-]{0,511}")
_VERB = re.compile(r"\*|[a-z][a-z-]{0,62}")
_ASKED = re.compile(
    r"(?:\*|[A-Za-z][A-Za-z0-9-]*)(?:\.(?:\*|[A-Za-z0-9.-]*))?(?:/(?:\*|[A-Za-z0-9_~][A-Za-z0-9._:@~+-]*))?"
    r"|signers(?:\.[a-z0-9.]*)?/[a-z0-9.-]+/(?:\*|[A-Za-z0-9._-]+)"  # the only names with a slash
)
_URL = re.compile(r"/[A-Za-z0-9._~/*-]{0,511}")

Flags = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Operands:
    """A shape of operands, as people are told it and as it is checked."""

    says: str
    check: Callable[[Sequence[str], Flags], Sequence[str]]
    """Returns the types that would be read. Raises Refused."""


def check_type(kind: str, whole: str) -> str:
    """A type that may be read. Raises Refused if it is none, or one whose objects are credentials."""
    if not TYPE.fullmatch(kind):
        within = "" if kind == whole else f' in "{shown(whole)}"'
        why = "every word is an argument of its own" if " " in kind else "as in pods or deployments.apps"
        raise Refused("operand", whole, f'"{shown(kind)}"{within} is not a resource type, {why}')
    if holds := credentials(kind):
        why = "what goes wrong for want of one shows in describe pod and get events"
        raise Refused("type", whole, f"{shown(kind)} may not be read, such objects hold {holds}; {why}")
    return kind


def _check_names(names: Sequence[str], what: str = "name") -> None:
    for name in names:
        if not NAME.fullmatch(name):
            wildcard = "there are no wildcards; -l chooses by label, and get TYPE lists all names"
            why = wildcard if "*" in name else "letters, digits and . _ : @ + ~ - only"
            raise Refused.word("name", name, f"is not a valid {what}: {why}")


def check_pair(operand: str) -> str:
    """The type of TYPE/NAME. Raises Refused if it isn't of that form, or the type may not be read."""
    if operand.count("/") != 1:
        raise Refused.word("operand", operand, "is not of the form TYPE/NAME, with one slash")
    kind, _, name = operand.partition("/")
    check_type(kind, operand)
    _check_names([name])
    return kind


def _resources(operands: Sequence[str], flags: Flags) -> Sequence[str]:
    if "raw" in flags:
        for operand in operands:
            raise Refused("operand", operand, f'--raw takes a path and nothing else; drop "{shown(operand)}"')
        return flags["raw"]
    if not operands:
        raise Refused("operand", "", "a resource is missing: TYPE, TYPE NAME or TYPE/NAME, as in pods or deploy/web")
    if any("/" in operand for operand in operands):
        for operand in (each for each in operands if "/" not in each):
            why = "stands beside TYPE/NAME; write every operand as TYPE/NAME, or TYPE NAME NAME"
            raise Refused.word("operand", operand, why)
        return [check_pair(operand) for operand in operands]
    kinds = [check_type(kind, operands[0]) for kind in operands[0].split(",")]
    _check_names(operands[1:])
    return kinds


def _log(operands: Sequence[str], flags: Flags) -> Sequence[str]:
    if not operands and "selector" not in flags:
        raise Refused("operand", "", "logs needs a pod, TYPE/NAME, or -l with a selector")
    for extra in [*(operand for operand in operands[1:2] if "/" in operand), *operands[2:]]:
        why = "is one too many: logs takes one pod (or TYPE/NAME) and at most one container; -l reads several pods"
        raise Refused.word("operand", extra, why)
    _check_names(operands[1:], "container")
    if operands and "/" in operands[0]:
        return ["pods", check_pair(operands[0])]
    _check_names(operands[:1])
    return ["pods"]


def _name(operands: Sequence[str], _: Flags) -> Sequence[str]:
    for extra in operands[1:]:
        raise Refused.word("operand", extra, "is one too many: top takes at most one name; use -l to choose several")
    _check_names(operands)
    return []


def _field(operands: Sequence[str], _: Flags) -> Sequence[str]:
    takes = "explain takes one TYPE or TYPE.FIELD, as in pods.spec"
    if not operands:
        raise Refused("operand", "", takes)
    for extra in operands[1:]:
        raise Refused.word("operand", extra, f"is one too many: {takes}")
    if not _FIELD.fullmatch(operands[0]):
        raise Refused.word("operand", operands[0], "is not of the form TYPE or TYPE.FIELD.FIELD")
    return []


def _question(operands: Sequence[str], flags: Flags) -> Sequence[str]:
    if flags.get("list") == ["true"]:
        for operand in operands:
            raise Refused("operand", operand, f'auth can-i --list takes nothing else; drop "{shown(operand)}"')
        return []
    if len(operands) not in (2, 3):
        takes = "auth can-i takes VERB TYPE, VERB TYPE/NAME or VERB /path, as in get pods; or --list"
        raise Refused("operand", "", takes)
    verb, thing, *name = operands
    if not _VERB.fullmatch(verb):
        raise Refused.word("operand", verb, "is not a verb such as get, list or delete")
    if not (_ASKED.fullmatch(thing) or _URL.fullmatch(thing)):
        raise Refused.word("operand", thing, "is not a TYPE, a TYPE/NAME or a /path")
    _check_names(name)
    return []


def _subcommand(operands: Sequence[str], _: Flags) -> Sequence[str]:
    must = "it must follow its verb at once, flags come after both, as in top pod -A"
    for operand in operands:
        raise Refused.word("subcommand", operand, f"comes too late: {must}")
    raise Refused("subcommand", "", f"a subcommand is missing: {must}")


def _none(operands: Sequence[str], _: Flags) -> Sequence[str]:
    for operand in operands:
        dump = "ask for what you need, as in get pods -A -o wide, get events -A or logs POD"
        why = dump if operand == "dump" else "this takes only flags"
        raise Refused.word("operand", operand, f"is one word too many: {why}")
    return []


RESOURCES = Operands("TYPE[,TYPE…] [NAME…] or TYPE/NAME…", _resources)
LOG = Operands("POD [CONTAINER] or TYPE/NAME [CONTAINER]", _log)
ONE_NAME = Operands("[NAME]", _name)
FIELD = Operands("TYPE[.FIELD…]", _field)
QUESTION = Operands("VERB TYPE[/NAME] or VERB /path", _question)
NOTHING = Operands("", _none)
SUBCOMMAND = Operands("-h", _subcommand)
