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
    """A shape of operands."""

    says: str
    check: Callable[[Sequence[str], Flags], Sequence[str]]
    """Returns the types that would be read. Raises Refused."""


def check_type(kind: str, whole: str) -> str:
    """A type that may be read.

    Raises:
        Refused: it is no type, or one whose objects are credentials.
    """
    if not TYPE.fullmatch(kind):
        within = "" if kind == whole else f' in "{shown(whole)}"'
        sentence = f'"{shown(kind)}"{within} is not a resource type, as in pods or deployments.apps'
        raise Refused("operand", shown(whole), sentence)
    holds = credentials(kind)
    if holds:
        sentence = (
            f"{shown(kind)} may not be read, such objects hold {holds}; what goes wrong for want of one shows in "
            "describe pod and get events"
        )
        raise Refused("type", shown(whole), sentence)
    return kind


def check_name(name: str, what: str = "name") -> None:
    """A name, in whatever place.

    Raises:
        Refused: it could not be a name in Kubernetes.
    """
    if not NAME.fullmatch(name):
        why = "letters, digits and . _ : @ + ~ - only"
        if "*" in name:
            why = "there are no wildcards; -l chooses by label, and get TYPE lists all names"
        raise Refused("name", shown(name), f'"{shown(name)}" is not a valid {what}: {why}')


def check_pair(operand: str) -> str:
    """The type of TYPE/NAME.

    Raises:
        Refused: it isn't of that form, or the type may not be read.
    """
    if operand.count("/") != 1:
        raise Refused("operand", shown(operand), f'"{shown(operand)}" is not of the form TYPE/NAME, with one slash')
    kind, _, name = operand.partition("/")
    check_type(kind, operand)
    check_name(name)
    return kind


def _resources(operands: Sequence[str], flags: Flags) -> Sequence[str]:
    if "raw" in flags:
        if operands:
            sentence = f'--raw takes a path and nothing else; drop "{shown(operands[0])}"'
            raise Refused("operand", shown(operands[0]), sentence)
        return flags["raw"]
    if not operands:
        raise Refused("operand", "", "a resource is missing: TYPE, TYPE NAME or TYPE/NAME, as in pods or deploy/web")
    if any("/" in operand for operand in operands):
        for operand in operands:
            if "/" not in operand:
                sentence = (
                    f'"{shown(operand)}" stands beside TYPE/NAME; write every operand as TYPE/NAME, or TYPE NAME NAME'
                )
                raise Refused("operand", shown(operand), sentence)
        return [check_pair(operand) for operand in operands]
    kinds = [check_type(kind, operands[0]) for kind in operands[0].split(",")]
    for name in operands[1:]:
        check_name(name)
    return kinds


def _log(operands: Sequence[str], flags: Flags) -> Sequence[str]:
    if not operands and "selector" not in flags:
        raise Refused("operand", "", "logs needs a pod, TYPE/NAME, or -l with a selector")
    if len(operands) > 2:
        sentence = (
            f'"{shown(operands[2])}" is one too many: logs takes one pod (or TYPE/NAME) and at most one container'
        )
        raise Refused("operand", shown(operands[2]), sentence)
    for container in operands[1:]:
        check_name(container, "container")
    if operands and "/" in operands[0]:
        return ["pods", check_pair(operands[0])]
    for pod in operands[:1]:
        check_name(pod)
    return ["pods"]


def _name(operands: Sequence[str], _: Flags) -> Sequence[str]:
    if len(operands) > 1:
        sentence = f'"{shown(operands[1])}" is one too many: top takes at most one name; use -l to choose several'
        raise Refused("operand", shown(operands[1]), sentence)
    for name in operands:
        check_name(name)
    return []


def _field(operands: Sequence[str], _: Flags) -> Sequence[str]:
    if len(operands) != 1:
        given = shown(operands[1]) if operands else ""
        wrong = f'"{given}" is one too many: ' if operands else ""
        raise Refused("operand", given, f"{wrong}explain takes one TYPE or TYPE.FIELD, as in pods.spec")
    if not _FIELD.fullmatch(operands[0]):
        raise Refused(
            "operand",
            shown(operands[0]),
            f'"{shown(operands[0])}" is not of the form TYPE or TYPE.FIELD.FIELD',
        )
    return []


def _question(operands: Sequence[str], flags: Flags) -> Sequence[str]:
    if flags.get("list") == ["true"]:
        if operands:
            sentence = f'auth can-i --list takes nothing else; drop "{shown(operands[0])}"'
            raise Refused("operand", shown(operands[0]), sentence)
        return []
    if len(operands) not in (2, 3):
        raise Refused(
            "operand",
            "",
            "auth can-i takes VERB TYPE, VERB TYPE/NAME or VERB /path, as in get pods; or --list",
        )
    verb, thing, *name = operands
    if not _VERB.fullmatch(verb):
        raise Refused("operand", shown(verb), f'"{shown(verb)}" is not a verb such as get, list or delete')
    if not (_ASKED.fullmatch(thing) or _URL.fullmatch(thing)):
        raise Refused("operand", shown(thing), f'"{shown(thing)}" is not a TYPE, a TYPE/NAME or a /path')
    for one in name:
        check_name(one)
    return []


def _subcommand(operands: Sequence[str], _: Flags) -> Sequence[str]:
    given = shown(operands[0]) if operands else ""
    wrong = f'"{given}" comes too late' if given else "a subcommand is missing"
    sentence = f"{wrong}: it must follow its verb at once, flags come after both, as in top pod -A"
    raise Refused("subcommand", given, sentence)


def _none(operands: Sequence[str], _: Flags) -> Sequence[str]:
    if operands:
        why = "this takes only flags"
        if operands[0] == "dump":
            why = "ask for what you need, as in get pods -A -o wide, get events -A or logs POD"
        raise Refused("operand", shown(operands[0]), f'"{shown(operands[0])}" is one word too many: {why}')
    return []


RESOURCES = Operands("TYPE[,TYPE…] [NAME…] or TYPE/NAME…", _resources)
LOG = Operands("POD [CONTAINER] or TYPE/NAME [CONTAINER]", _log)
ONE_NAME = Operands("[NAME]", _name)
FIELD = Operands("TYPE[.FIELD…]", _field)
QUESTION = Operands("VERB TYPE[/NAME] or VERB /path", _question)
NOTHING = Operands("", _none)
SUBCOMMAND = Operands("-h", _subcommand)
